#include "object/check_data.hpp"

#include <algorithm>
#include <optional>
#include <span>

#include "base/error.hpp"
#include "base/hash.hpp"
#include "base/limits.hpp"
#include "volume/block_table.hpp"

namespace tarn::object {

namespace {

using volume::kBlockBytes, volume::kBlockHashBytes;

constexpr std::size_t kReadBytes = 4 * kBlockBytes;       // hashed while they are in a core's cache
constexpr std::size_t kWholeBytesMax = 64 * limits::KiB;  // up to here data is looked at in the window
constexpr std::size_t kRangesMax = 4;

class DataPass {
 public:
  DataPass(volume::FileWindow& window, const volume::ScannedMember& found, bool with_table, const std::function<void(std::uint64_t)>& advance)
      : window_(window),
        file_(window.file()),
        found_(found),
        size_bytes_(found.member.size_bytes),
        table_(volume::table_place(found.data_offset, size_bytes_)),
        with_table_(with_table),
        advance_(advance) {
    if (with_table) table_sum_.emplace();
  }

  Result<DataCheck> run() {
    if (size_bytes_ <= kWholeBytesMax && !with_table_) {
      const auto padded = static_cast<std::size_t>(found_.end_offset - found_.data_offset);
      TARN_TRY(const auto bytes, window_.at(found_.data_offset, padded));
      if (bytes.size() < padded) return fail(too_short());
      advance_(padded);
      out_.matches = base::xxh3_128(bytes.first(size_bytes_)) == found_.member.checksum;
      out_.padding_is_zero = volume::tar::is_zero(bytes.subspan(size_bytes_));
      return std::move(out_);
    }
    TARN_CHECK(read_data());
    out_.padding_is_zero = is_zero(found_.data_offset + size_bytes_, found_.end_offset);
    if (with_table_ && out_.table_trouble.empty()) {
      out_.table_padding_is_zero = is_zero(table_.offset + table_.size_bytes, table_.end_offset);
      out_.table_checksum = table_sum_->digest();
    }
    return std::move(out_);
  }

 private:
  Result<void> read_data() {
    base::ChecksumStream sum;
    std::vector<std::byte> buffer(static_cast<std::size_t>(std::min<std::uint64_t>(size_bytes_, kReadBytes)));
    for (std::uint64_t at = 0; at < size_bytes_;) {
      const auto piece = std::span(buffer).first(static_cast<std::size_t>(std::min<std::uint64_t>(buffer.size(), size_bytes_ - at)));
      advance_(piece.size());
      TARN_TRY(const std::size_t got, file_.read_at(found_.data_offset + at, piece));
      if (got < piece.size()) return fail(too_short());
      sum.update(piece);
      if (with_table_ && out_.table_trouble.empty()) {
        if (auto compared = compare_blocks(at, piece); !compared) give_table_up(std::move(compared).error());
      }
      at += piece.size();
    }
    out_.matches = sum.digest() == found_.member.checksum;
    return {};
  }

  /// The data can be good without it.
  void give_table_up(Error&& error) {
    out_.table_trouble = std::move(error.message);
    out_.bad.clear();
    out_.bad_blocks = 0;
  }

  /// `piece` begins with a block. @errors of the table.
  Result<void> compare_blocks(std::uint64_t begin, std::span<const std::byte> piece) {
    for (; !piece.empty(); begin += kBlockBytes) {
      const auto block = piece.first(std::min(piece.size(), kBlockBytes));
      piece = piece.subspan(block.size());
      TARN_TRY(const std::uint64_t wanted, next_hash());
      if (volume::block_hash(block, begin / kBlockBytes) == wanted) continue;
      ++out_.bad_blocks;
      if (!out_.bad.empty() && out_.bad.back().end == begin)
        out_.bad.back().end = begin + block.size();
      else if (out_.bad.size() < kRangesMax)
        out_.bad.push_back({begin, begin + block.size()});
    }
    return {};
  }

  /// Of the table, which is read in order and so hashed on the way.
  Result<std::uint64_t> next_hash() {
    if (table_at_ == table_piece_.size()) {
      const std::uint64_t left = table_.size_bytes - table_read_;
      table_piece_.resize(static_cast<std::size_t>(std::min<std::uint64_t>(left, kBlockBytes)));
      TARN_TRY(const std::size_t got, file_.read_at(table_.offset + table_read_, table_piece_));
      if (got < table_piece_.size()) return fail(too_short());
      table_sum_->update(table_piece_);
      table_read_ += got;
      table_at_ = 0;
    }
    std::uint64_t value = 0;
    for (std::size_t i = kBlockHashBytes; i-- > 0;) value = value << 8 | static_cast<std::uint64_t>(table_piece_[table_at_ + i]);
    table_at_ += kBlockHashBytes;
    return value;
  }

  /// Less than a tar block, and nobody's bytes: what cannot be read is not zero.
  bool is_zero(std::uint64_t begin, std::uint64_t end) {
    std::vector<std::byte> padding(static_cast<std::size_t>(end - begin));
    const auto got = file_.read_at(begin, padding);
    return got && *got == padding.size() && volume::tar::is_zero(padding);
  }

  [[nodiscard]] Error too_short() const { return Error(ErrorCode::corrupt, file_.path() + ": ends inside of a member"); }

  volume::FileWindow& window_;
  const base::File& file_;
  const volume::ScannedMember& found_;
  const std::uint64_t size_bytes_;
  const volume::TablePlace table_;
  const bool with_table_;
  const std::function<void(std::uint64_t)>& advance_;
  std::vector<std::byte> table_piece_;
  std::size_t table_at_ = 0;                       // in the piece
  std::uint64_t table_read_ = 0;                   // of the table
  std::optional<base::ChecksumStream> table_sum_;  // with a table
  DataCheck out_;
};

}  // namespace

Result<DataCheck> check_data(volume::FileWindow& window, const volume::ScannedMember& found, bool with_table,
                             const std::function<void(std::uint64_t)>& advance) {
  return DataPass(window, found, with_table, advance).run();
}

std::string describe(const DataCheck& data) {
  std::string text;
  std::uint64_t named = 0;
  for (const auto& range : data.bad) {
    text += (text.empty() ? "bytes " : ", ") + std::to_string(range.begin) + " to " + std::to_string(range.end);
    named += (range.end - range.begin + kBlockBytes - 1) / kBlockBytes;
  }
  if (data.bad_blocks > named) text += " and " + std::to_string(data.bad_blocks - named) + " more blocks";
  return text;
}

}  // namespace tarn::object
