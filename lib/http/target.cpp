#include "http/target.hpp"

#include <algorithm>

#include "base/error.hpp"
#include "base/text.hpp"

namespace tarn::http {

namespace {

/// Decodes into `out`, whose memory is kept. @errors as parse_target.
Result<void> decode(std::string_view text, std::string& out) {
  if (text.find('%') == std::string_view::npos) {
    out.assign(text);
  } else {
    TARN_TRY(out, base::percent_decode(text));
  }
  if (out.find('\0') != std::string::npos) return fail(ErrorCode::invalid, "a NUL byte cannot stand in an address");
  if (!base::is_utf8(out)) return fail(ErrorCode::invalid, "the address is not valid UTF-8 once its %XX are decoded");
  return {};
}

Result<void> decode_parameter(std::string_view text, std::string& out) {
  std::string spaced(text);
  std::replace(spaced.begin(), spaced.end(), '+', ' ');
  return decode(spaced, out);
}

Result<void> parse_query(std::string_view query, s3::QueryParameters& parameters) {
  while (!query.empty()) {
    const auto end = std::min(query.find('&'), query.size());
    const auto item = query.substr(0, end);
    query.remove_prefix(std::min(end + 1, query.size()));
    if (item.empty()) continue;
    const auto equals = std::min(item.find('='), item.size());
    auto& [name, value] = parameters.emplace_back();
    TARN_CHECK(decode_parameter(item.substr(0, equals), name));
    TARN_CHECK(decode_parameter(item.substr(std::min(equals + 1, item.size())), value));
  }
  return {};
}

/// "http://host/path" becomes "/path" (RFC 9112, 3.2.2).
std::string_view without_authority(std::string_view text) {
  for (const std::string_view scheme : {"http://", "https://"}) {
    if (!text.starts_with(scheme)) continue;
    const auto slash = text.find('/', scheme.size());
    return slash == std::string_view::npos ? std::string_view("/") : text.substr(slash);
  }
  return text;
}

}  // namespace

Result<void> parse_target(std::string_view text, Target& target) {
  target.name.bucket.clear();
  target.name.key.clear();
  target.parameters.clear();
  text = without_authority(text);
  text = text.substr(0, text.find('#'));
  if (text.empty() || text.front() != '/') return fail(ErrorCode::invalid, "the address must be a path: /bucket/key");
  const auto question = text.find('?');
  target.path = text.substr(0, question);
  const std::string_view inner = target.path.substr(1);
  const auto slash = inner.find('/');
  TARN_CHECK(decode(inner.substr(0, slash), target.name.bucket));
  if (slash != std::string_view::npos) TARN_CHECK(decode(inner.substr(slash + 1), target.name.key));
  if (question != std::string_view::npos) return parse_query(text.substr(question + 1), target.parameters);
  return {};
}

}  // namespace tarn::http
