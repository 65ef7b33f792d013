// json.hpp - Boost.JSON for the whole library: one include, errors as Result.
// Level 1 (base). The only file that includes <boost/json.hpp>.
#pragma once

#include <boost/json.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include <tarn/result.hpp>

namespace tarn::base {

using Json = boost::json::value;
using JsonObject = boost::json::object;
using JsonArray = boost::json::array;

/// @errors invalid, with the position of the first wrong character. `what` names the text in messages.
[[nodiscard]] Result<Json> parse_json(std::string_view text, std::string_view what);
/// Two spaces of indentation and a final newline, for files that people read. Always UTF-8: U+FFFD stands for what is not.
[[nodiscard]] std::string pretty_json(const Json& value);

// Members of an object; nullopt when it is missing or of another type.
[[nodiscard]] std::optional<std::string> json_string(const Json& object, std::string_view name);
[[nodiscard]] std::optional<std::uint64_t> json_u64(const Json& object, std::string_view name);
[[nodiscard]] std::optional<bool> json_bool(const Json& object, std::string_view name);

}  // namespace tarn::base
