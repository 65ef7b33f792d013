#include "shard/tar_walk.hpp"

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <vector>

#include "base/error.hpp"

namespace tarn::shard {

namespace {

/// The tar's bytes [begin_, end_) are in the window; what lies before begin_ has been dealt with.
class Walk {
 public:
  explicit Walk(TarStream& stream) : stream_(stream), window_(2 * kEntryHeadersBytesMax) {}

  Result<void> run(const TarEntryFn& take) {
    TarEntry entry;
    for (;;) {
      if (begin_ == end_) TARN_CHECK(fill());
      if (begin_ == end_) return {};  // an archive without end mark is fine, as everywhere
      TARN_TRY(const auto parse, parse_tar_entry(bytes(), begin_, entry));
      if (parse == TarParse::more) {
        const std::uint64_t had = end_;
        TARN_CHECK(fill());
        if (end_ == had) return cut_off(begin_);
      } else if (parse == TarParse::end) {
        return check_end();
      } else {
        TARN_CHECK(take(entry, begin_ + entry.skip_bytes));
        TARN_CHECK(skip(entry.skip_bytes + entry.entry_bytes()));
      }
    }
  }

 private:
  [[nodiscard]] std::span<const std::byte> bytes() const { return std::span(window_).first(static_cast<std::size_t>(end_ - begin_)); }

  /// Reads on behind end_, as far as there is room.
  Result<void> fill() {
    const auto kept = static_cast<std::size_t>(end_ - begin_);
    TARN_TRY(const std::size_t got, stream_.read(std::span(window_).subspan(kept)));
    end_ += got;
    return {};
  }

  void drop(std::uint64_t count) {
    const auto left = static_cast<std::size_t>(end_ - begin_ - count);
    std::memmove(window_.data(), window_.data() + count, left);
    begin_ += count;
  }

  Result<void> skip(std::uint64_t count) {
    const std::uint64_t target = begin_ + count;
    while (begin_ < target) {
      drop(std::min(target, end_) - begin_);
      if (begin_ == target) break;
      TARN_CHECK(fill());
      if (begin_ == end_) return cut_off(begin_);
    }
    return {};
  }

  Result<void> check_end() {
    for (;;) {
      const auto rest = bytes();
      const auto stray = std::find_if(rest.begin(), rest.end(), [](std::byte b) { return b != std::byte{0}; });
      if (stray != rest.end())
        return fail(ErrorCode::invalid, "at offset " + std::to_string(begin_ + static_cast<std::uint64_t>(stray - rest.begin())) +
                                            ": data after the end mark; were two archives joined?");
      drop(rest.size());
      TARN_CHECK(fill());
      if (begin_ == end_) return {};
    }
  }

  static tl::unexpected<Error> cut_off(std::uint64_t offset) {
    return fail(ErrorCode::invalid, "at offset " + std::to_string(offset) + ": the archive is cut off inside a member");
  }

  TarStream& stream_;
  std::vector<std::byte> window_;
  std::uint64_t begin_ = 0, end_ = 0;
};

}  // namespace

Result<void> walk_tar(TarStream& stream, const TarEntryFn& take) {
  return Walk(stream).run(take);
}

}  // namespace tarn::shard
