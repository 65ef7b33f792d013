#include "base/json.hpp"

#include "base/text.hpp"

namespace tarn::base {

namespace {

const Json* member(const Json& object, std::string_view name) {
  const JsonObject* fields = object.if_object();
  return fields == nullptr ? nullptr : fields->if_contains(name);
}

void append_pretty(std::string& out, const Json& value, std::size_t depth) {
  const std::string inner(2 * (depth + 1), ' ');
  const auto close = [&](char bracket) { out.append("\n").append(2 * depth, ' ').push_back(bracket); };
  if (const auto* fields = value.if_object(); fields != nullptr && !fields->empty()) {
    out.push_back('{');
    const char* separator = "\n";
    for (const auto& field : *fields) {
      out.append(separator).append(inner).append(boost::json::serialize(field.key())).append(": ");
      append_pretty(out, field.value(), depth + 1);
      separator = ",\n";
    }
    close('}');
  } else if (const auto* items = value.if_array(); items != nullptr && !items->empty()) {
    out.push_back('[');
    const char* separator = "\n";
    for (const auto& item : *items) {
      out.append(separator).append(inner);
      append_pretty(out, item, depth + 1);
      separator = ",\n";
    }
    close(']');
  } else {
    out.append(boost::json::serialize(value));
  }
}

}  // namespace

Result<Json> parse_json(std::string_view text, std::string_view what) {
  boost::json::stream_parser parser({}, boost::json::parse_options{.max_depth = 32});
  boost::json::error_code error;
  const std::size_t consumed = parser.write_some(text.data(), text.size(), error);
  if (!error) parser.finish(error);
  const bool trailing = !error && text.find_first_not_of(" \t\r\n", consumed) != std::string_view::npos;
  if (error || trailing)
    return fail(ErrorCode::invalid, std::string(what) + " is not valid JSON near character " + std::to_string(consumed) +
                                        (error ? ": " + error.message() : std::string(": text after the end")));
  return parser.release();
}

std::string pretty_json(const Json& value) {
  std::string text;
  append_pretty(text, value, 0);
  text.append("\n");
  return is_utf8(text) ? text : valid_utf8(text);  // bytes that are not can stand within strings only
}

std::optional<std::string> json_string(const Json& object, std::string_view name) {
  const Json* value = member(object, name);
  if (value == nullptr || !value->is_string()) return std::nullopt;
  return std::string(value->get_string());
}

std::optional<std::uint64_t> json_u64(const Json& object, std::string_view name) {
  const Json* value = member(object, name);
  if (value == nullptr) return std::nullopt;
  boost::json::error_code error;
  const auto number = value->to_number<std::uint64_t>(error);
  if (error) return std::nullopt;
  return number;
}

std::optional<bool> json_bool(const Json& object, std::string_view name) {
  const Json* value = member(object, name);
  if (value == nullptr || !value->is_bool()) return std::nullopt;
  return value->get_bool();
}

}  // namespace tarn::base
