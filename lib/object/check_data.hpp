// check_data.hpp - one member's data against its checksum and its block hashes, in one pass.
// Level 3 (object). One thread.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include <tarn/object.hpp>
#include <tarn/result.hpp>

#include "volume/file_window.hpp"
#include "volume/scanner.hpp"

namespace tarn::object {

/// Neighbouring blocks that do not match their hashes.
struct BadBlocks {
  std::uint64_t begin = 0, end = 0;  ///< bytes of the object
};

struct DataCheck {
  bool matches = false;          ///< the data its checksum
  bool padding_is_zero = false;  ///< behind the data
  std::vector<BadBlocks> bad;    ///< with a table: the first few
  std::uint64_t bad_blocks = 0;  ///< all of them
  Checksum table_checksum{};     ///< with a table: of its bytes
  bool table_padding_is_zero = false;
  std::string table_trouble;  ///< why it could not be read to its end; empty: it could. Its blocks were not compared then
};

/// @param with_table  a table of block hashes lies behind the data.
/// @param advance     called with the bytes that were read, before they are looked at.
/// @errors io; corrupt: the file ends too early. Both of the data: a table that cannot be read is no error.
[[nodiscard]] Result<DataCheck> check_data(volume::FileWindow& window, const volume::ScannedMember& found, bool with_table,
                                           const std::function<void(std::uint64_t)>& advance);

/// "bytes 65536 to 131072 and 3 more blocks"
[[nodiscard]] std::string describe(const DataCheck& data);

}  // namespace tarn::object
