// standard_output.hpp - what is written for others to read, who may stop reading.
// Level 7 (tools). Sockets make the tool ignore SIGPIPE; towards a pipe it ends like any other tool.
#pragma once

#include <cstddef>
#include <span>
#include <string_view>

#include <tarn/result.hpp>

namespace tarn::tools {

/// Writes all of it. @errors io.
[[nodiscard]] Result<void> write_all(int descriptor, std::string_view name, std::span<const std::byte> bytes);

/// The same to standard output. Does not return when nobody reads it any more: the process ends by SIGPIPE, without a word.
[[nodiscard]] Result<void> write_stdout(std::span<const std::byte> bytes);

/// What std::cout still holds is written. @errors io. Ends as write_stdout does.
[[nodiscard]] Result<void> flush_stdout();

}  // namespace tarn::tools
