#include "shard/shard_index.hpp"

#include <algorithm>
#include <cstring>

#include "base/assert.hpp"
#include "base/error.hpp"
#include "base/hash.hpp"
#include "shard/member.hpp"
#include "shard/tar_format.hpp"

namespace tarn::shard {

namespace {

/// One pass. The window holds the archive's bytes [window_begin_, window_end_); everything before
/// position_ has been dealt with.
///
///      window_begin_   position_             window_end_          size_
///           |  . . . . .   |  entry, entry, ...   |  not yet read   |
class Pass {
 public:
  Pass(std::string_view name, std::uint64_t size_bytes, const ShardReadFn& read, const SampleFn& sink, std::span<std::byte> window,
       const IndexOptions& options)
      : name_(name), size_(size_bytes), read_(read), sink_(sink), window_(window), options_(options) {}

  Result<ShardCounts> run() {
    if (size_ == kUnknownShardBytes) TARN_CHECK(fill());
    if (size_ == 0) return damaged(fail(ErrorCode::invalid, "it is empty; a tar has at least one member or two zero blocks"));
    TarEntry entry;
    while (position_ < size_) {  // an archive without end mark is fine, as everywhere
      auto parse = parse_tar_entry(window_.subspan(position_ - window_begin_, window_end_ - position_), position_, entry);
      if (!parse) return damaged(fail(std::move(parse).error()));
      if (*parse == TarParse::more) {
        if (window_end_ == size_) return truncated(position_);
        TARN_CHECK(fill());
      } else if (*parse == TarParse::end) {
        TARN_CHECK(check_end());
      } else {
        TARN_CHECK(take(entry));
      }
    }
    TARN_CHECK(finish_sample());
    return counts_;
  }

 private:
  Result<void> take(const TarEntry& entry) {
    position_ += entry.skip_bytes;
    const std::uint64_t end = position_ + entry.entry_bytes();
    if (end > size_) return truncated(position_);
    if (options_.keeps && entry.regular) {
      const auto parts = split_member_name(entry.name);
      if (parts && !options_.keeps(parts->extension)) {
        ++counts_.dropped_members;
        return advance(end);
      }
    }
    auto step = grouping_.add(entry.name, entry.regular);
    if (!step) return damaged(fail(step.error().code, at(position_) + step.error().message));
    if (*step == SampleGrouping::Step::ignored) {
      ++counts_.skipped_members;
      return advance(end);
    }
    if (*step == SampleGrouping::Step::begins) {
      TARN_CHECK(finish_sample());
      sample_.key = grouping_.key();
    }
    ++sample_.members;
    if (!extent_open_ || extent_end_ != position_) {
      close_extent();
      extent_open_ = true;
      extent_begin_ = hashed_to_ = position_;
    }
    extent_end_ = end;
    if (options_.members) {
      const std::string_view name = entry.name;
      TARN_CHECK(options_.members({name, name.substr(grouping_.key().size() + 1), position_ + entry.header_bytes, entry.data_bytes}));
    }
    if (!options_.watch.extension.empty()) TARN_CHECK(watch(entry));
    return advance(end);
  }

  /// Keeps the content of a member that is watched.
  Result<void> watch(const TarEntry& entry) {
    if (split_member_name(entry.name)->extension != options_.watch.extension) return {};
    if (entry.data_bytes > options_.watch.bytes_max && options_.watch.skip_longer) return {};
    if (entry.data_bytes > options_.watch.bytes_max || entry.header_bytes + entry.data_bytes > window_.size())
      return damaged(fail(ErrorCode::invalid, at(position_) + "member '" + entry.name.substr(0, 300) + "' of " + std::to_string(entry.data_bytes) +
                                                  " bytes is too long to sort by; the limit is " + std::to_string(options_.watch.bytes_max)));
    const std::uint64_t begin = position_ + entry.header_bytes, end = begin + entry.data_bytes;
    while (end > window_end_) {
      if (window_end_ == size_) return truncated(size_);
      TARN_CHECK(fill());
    }
    const auto bytes = bytes_of(begin, end);
    sample_.content.emplace(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    return {};
  }

  /// Moves position_ to `target`, reading on where the window ends before it.
  Result<void> advance(std::uint64_t target) {
    while (target > window_end_) {
      position_ = window_end_;
      TARN_CHECK(fill());
      if (window_end_ == size_ && target > size_) return truncated(size_);
    }
    position_ = target;
    return {};
  }

  /// Drops what lies before position_ and reads on behind window_end_.
  Result<void> fill() {
    if (extent_open_) hash_to(std::min(position_, extent_end_));
    const std::size_t kept = window_end_ - position_;
    TARN_ASSERT(kept < window_.size());
    if (kept > 0) std::memmove(window_.data(), window_.data() + (position_ - window_begin_), kept);
    window_begin_ = position_;
    const std::uint64_t wanted = std::min<std::uint64_t>(window_.size() - kept, size_ - window_end_);
    TARN_TRY(const std::size_t got, read_(window_end_, window_.subspan(kept, wanted)));
    if (got == 0 && size_ != kUnknownShardBytes) return truncated(window_end_);
    if (got == 0) size_ = window_end_;
    window_end_ += got;
    return {};
  }

  /// Feeds the open extent's bytes up to `end` to its hash: before they leave the window.
  void hash_to(std::uint64_t end) {
    if (end <= hashed_to_) return;
    if (hashed_to_ == extent_begin_) stream_.reset();
    stream_.update(bytes_of(hashed_to_, end));
    hashed_to_ = end;
  }

  void close_extent() {
    if (!extent_open_) return;
    std::uint64_t hash = 0;
    if (hashed_to_ == extent_begin_) {  // still whole in the window: the common case
      hash = base::xxh3_64(bytes_of(extent_begin_, extent_end_));
    } else {
      hash_to(extent_end_);
      hash = stream_.digest();
    }
    sample_.extents.push_back({extent_begin_, extent_end_ - extent_begin_, hash});
    extent_open_ = false;
  }

  Result<void> finish_sample() {
    close_extent();
    if (sample_.members == 0) return {};
    ++counts_.samples;
    counts_.members += sample_.members;
    TARN_CHECK(sink_(sample_));
    sample_.members = 0;
    sample_.extents.clear();
    sample_.content.reset();
    return {};
  }

  /// Only zeros may follow the end mark: anything else would be lost without a word.
  Result<void> check_end() {
    while (true) {
      const auto rest = bytes_of(position_, window_end_);
      const auto stray = std::find_if(rest.begin(), rest.end(), [](std::byte b) { return b != std::byte{0}; });
      if (stray != rest.end()) {
        const auto offset = position_ + static_cast<std::uint64_t>(stray - rest.begin());
        return damaged(fail(ErrorCode::invalid, at(offset) + "data after the end mark; were two archives joined?"));
      }
      position_ = window_end_;
      if (position_ == size_) return {};
      TARN_CHECK(fill());
    }
  }

  [[nodiscard]] std::span<const std::byte> bytes_of(std::uint64_t begin, std::uint64_t end) const {
    return window_.subspan(begin - window_begin_, end - begin);
  }

  static std::string at(std::uint64_t offset) { return "at offset " + std::to_string(offset) + ": "; }

  tl::unexpected<Error> damaged(tl::unexpected<Error> error) const {
    return fail(error.value().code, "shard '" + name_ + "' cannot be read " + error.value().message + " (" + std::to_string(counts_.samples) +
                                        " samples before it are sound)");
  }
  tl::unexpected<Error> truncated(std::uint64_t offset) const {
    return damaged(fail(ErrorCode::invalid, at(offset) + "the archive is cut off inside a member; its size is " + std::to_string(size_)));
  }

  const std::string name_;
  std::uint64_t size_;  // kUnknownShardBytes until its end has been seen
  const ShardReadFn& read_;
  const SampleFn& sink_;
  const std::span<std::byte> window_;
  const IndexOptions& options_;
  std::uint64_t window_begin_ = 0, window_end_ = 0, position_ = 0;

  SampleGrouping grouping_;
  Sample sample_;
  ShardCounts counts_;

  bool extent_open_ = false;
  std::uint64_t extent_begin_ = 0, extent_end_ = 0, hashed_to_ = 0;
  base::HashStream stream_;  // of [extent_begin_, hashed_to_), once that is not empty
};

}  // namespace

Result<ShardCounts> index_shard(std::string_view name, std::uint64_t size_bytes, const ShardReadFn& read, const SampleFn& sink,
                                std::span<std::byte> window, const IndexOptions& options) {
  TARN_ASSERT(window.size() >= kIndexWindowBytesMin);
  return Pass(name, size_bytes, read, sink, window, options).run();
}

}  // namespace tarn::shard
