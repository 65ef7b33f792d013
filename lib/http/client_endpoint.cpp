#include "http/client_endpoint.hpp"

#include <boost/url/parse.hpp>
#include <boost/url/url_view.hpp>

#include <charconv>
#include <cstdlib>
#include <system_error>

#include "base/error.hpp"
#include "base/file.hpp"
#include "base/json.hpp"

namespace tarn::http {

std::string endpoint_file_path(std::string_view flag) {
  if (!flag.empty()) return std::string(flag);
  const char* variable = std::getenv("TARN_ENDPOINT_FILE");
  return variable != nullptr && *variable != '\0' ? variable : "endpoint.json";
}

Result<Endpoint> read_endpoint_file(const std::string& path) {
  auto text = base::read_text_file(base::posix_file_system(), path);
  if (!text && text.error().code == ErrorCode::not_found)
    return fail(ErrorCode::not_found, "there is no endpoint file " + path +
                                          "; is a store running (`mpirun -n 4 tarn serve --dir ...`)? Name its file with --endpoint-file or "
                                          "$TARN_ENDPOINT_FILE");
  if (!text) return fail(std::move(text).error());
  TARN_TRY(const base::Json json, base::parse_json(*text, "endpoint file " + path));
  Endpoint endpoint;
  endpoint.file = path;
  endpoint.store = base::json_string(json, "store").value_or("");
  endpoint.token = base::json_string(json, "token").value_or("");
  const base::JsonObject* fields = json.if_object();
  const base::Json* urls = fields == nullptr ? nullptr : fields->if_contains("endpoints");
  if (urls != nullptr && urls->is_array()) {
    for (const base::Json& url : urls->get_array()) {
      if (!url.is_string()) return fail(ErrorCode::invalid, "endpoint file " + path + " has an endpoint that is not a text");
      if (url.get_string().empty()) continue;  // a rank without a sidecar
      endpoint.urls.emplace_back(url.get_string());
      TARN_CHECK(split_url(endpoint.urls.back()));
    }
  }
  if (endpoint.urls.empty()) return fail(ErrorCode::invalid, "endpoint file " + path + " names no endpoints");
  return endpoint;
}

std::string Authority::text() const {
  return (host.find(':') == std::string::npos ? host : "[" + host + "]") + ":" + std::to_string(port);
}

Result<SplitUrl> split_url(std::string_view url) {
  const auto parsed = boost::urls::parse_uri(url);
  if (!parsed || parsed->host().empty()) return fail(ErrorCode::invalid, "'" + std::string(url.substr(0, 200)) + "' is not an http:// address");
  if (parsed->scheme() == "https") return fail(ErrorCode::unsupported, std::string(url.substr(0, 200)) + ": this version speaks http:// only");
  if (parsed->scheme() != "http") return fail(ErrorCode::invalid, "'" + std::string(url.substr(0, 200)) + "' is not an http:// address");
  const auto port = parsed->port();
  std::uint16_t port_number = 80;
  if (!port.empty()) {
    const auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), port_number);
    if (error != std::errc() || end != port.data() + port.size() || port_number == 0)
      return fail(ErrorCode::invalid, "'" + std::string(url.substr(0, 200)) + "' has no valid port");
  }
  SplitUrl result;
  const auto host = parsed->host_address();
  result.authority.host.assign(host.data(), host.size());
  result.authority.port = port_number;
  const auto path = parsed->encoded_path();
  result.target = path.empty() ? "/" : std::string(path.data(), path.size());
  if (parsed->has_query()) {
    const auto query = parsed->encoded_query();
    result.target.append("?").append(query.data(), query.size());
  }
  return result;
}

}  // namespace tarn::http
