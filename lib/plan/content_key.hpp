// content_key.hpp - the value of a member as a text that sorts as the value does: DsortOrder::content compares nothing but bytes.
// Level 4 (plan). Pure.
//
//   00                   no such member, these first
//   01 value             integer, real: 8 bytes, large ends first, order-preserving; text: the bytes
//   02                   no such member, these last
//   decreasing: the value's bytes inverted, and ff behind a text's, so that what begins like another comes before it
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include <tarn/dsort.hpp>
#include <tarn/result.hpp>

namespace tarn::plan {

/// A member that samples are sorted by is read whole into memory.
inline constexpr std::size_t kContentBytesMax = 4096;

/// @param value  of the member, white space around it is ignored; nullopt: the sample has none.
/// @return nullopt: the sample is to be left out (MissingContent::drop).
/// @errors invalid: not of the type, or missing where that is an error; the message does not name the sample.
[[nodiscard]] Result<std::optional<std::string>> content_key(const DsortSpec& spec, std::optional<std::string_view> value);

}  // namespace tarn::plan
