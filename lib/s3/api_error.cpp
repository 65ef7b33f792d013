#include "s3/api_error.hpp"

#include "base/error.hpp"
#include "base/text.hpp"
#include "s3/xml.hpp"

namespace tarn::s3 {

ApiError api_error(const Error& error) {
  const auto& row = base::error_row(error.code);
  std::string message = error.message;
  if (error.rank >= 0) message.append(" (rank ").append(std::to_string(error.rank)).append(")");
  return {row.http_status, std::string(row.s3_code), std::move(message)};
}

std::string error_xml(const ApiError& error, std::string_view resource, std::string_view request_id) {
  XmlWriter xml("Error", {});
  xml.text("Code", error.code).text("Message", base::valid_xml_text(error.message)).text("Resource", base::valid_xml_text(resource));
  xml.text("RequestId", request_id);
  return xml.finish();
}

}  // namespace tarn::s3
