#include "volume/index.hpp"

#include <lmdb.h>

#include <algorithm>
#include <set>

#include "base/bucket_options.hpp"
#include "base/codec.hpp"
#include "base/error.hpp"
#include "volume/index_env.hpp"

namespace tarn::volume {

namespace {

constexpr std::string_view kCountersKey = "counters", kCompleteKey = "complete";

/// The value of kCompleteKey: the format of the entries, the disk that they speak of, and which of its indexes this is. An
/// index with another one is not believed.
std::string complete_value(const base::Uuid& disk, std::string_view mark) {
  return "4 " + disk.to_string() + " " + std::string(mark);
}

MDB_val to_val(std::string_view text) {
  return {text.size(), const_cast<char*>(text.data())};
}
MDB_val to_val(std::span<const std::byte> bytes) {
  return {bytes.size(), const_cast<std::byte*>(bytes.data())};
}
std::string_view to_text(const MDB_val& value) {
  return {static_cast<const char*>(value.mv_data), value.mv_size};
}
std::span<const std::byte> to_bytes(const MDB_val& value) {
  return {static_cast<const std::byte*>(value.mv_data), value.mv_size};
}

struct CursorClose {
  void operator()(MDB_cursor* cursor) const noexcept { mdb_cursor_close(cursor); }
};
using Cursor = std::unique_ptr<MDB_cursor, CursorClose>;

std::string number_key(std::uint64_t value) {
  std::string text(8, '\0');
  for (int i = 7; i >= 0; --i, value >>= 8) text[static_cast<std::size_t>(i)] = static_cast<char>(value & 0xff);
  return text;
}
std::uint64_t key_number(std::string_view text) {
  std::uint64_t value = 0;
  for (const char c : text.substr(0, 8)) value = value << 8 | static_cast<unsigned char>(c);
  return value;
}

}  // namespace

void VolumeNotes::add(const Member& member, std::uint64_t footprint_bytes) noexcept {
  if (member.is_bucket_note()) bucket_bytes += footprint_bytes;
  if (member.kind != MemberKind::deleted) return;
  removal_bytes += footprint_bytes;
  newest = std::max(newest, member.newest_volume);
}

std::uint64_t VolumeState::dead_bytes() const noexcept {
  const std::uint64_t needed = live_bytes + notes.removal_bytes + notes.bucket_bytes;
  return indexed_bytes - std::min(indexed_bytes, needed);
}

// Functions that return int give LMDB's codes; the public ones turn them into errors.
struct Index::Impl : IndexEnv {
  using IndexEnv::IndexEnv;
  using IndexEnv::trie, IndexEnv::volume_table, IndexEnv::bucket_table, IndexEnv::meta;

  /// "counters" -> next node id, objects, bytes, sequence, volume
  struct Counters : IndexCounters {
    std::uint64_t next_node = 0;

    void count(std::string_view key, const Record& record, int times) noexcept {
      if (is_own_bucket(key)) return;
      objects += static_cast<std::uint64_t>(static_cast<std::int64_t>(times));
      object_bytes += static_cast<std::uint64_t>(times) * record.size_bytes;
    }
  };
  int get_counters(MDB_txn* txn, Counters& counters) const {
    MDB_val key = to_val(kCountersKey), value;
    const int rc = mdb_get(txn, meta, &key, &value);
    if (rc == MDB_NOTFOUND) return 0;
    if (rc != 0) return rc;
    base::Decoder decoder(to_bytes(value));
    counters.next_node = decoder.u64();
    counters.objects = decoder.u64();
    counters.object_bytes = decoder.u64();
    counters.sequence = decoder.u64();
    counters.volume = decoder.u64();
    return decoder.complete() ? 0 : MDB_CORRUPTED;
  }
  int put_counters(MDB_txn* txn, const Counters& counters) const {
    base::Encoder encoder;
    encoder.u64(counters.next_node).u64(counters.objects).u64(counters.object_bytes).u64(counters.sequence).u64(counters.volume);
    MDB_val key = to_val(kCountersKey), value = to_val(encoder.bytes());
    return mdb_put(txn, meta, &key, &value, 0);
  }

  int get_volume(MDB_txn* txn, std::uint64_t volume, VolumeState& state) const {
    const std::string id = number_key(volume);
    MDB_val key = to_val(id), value;
    const int rc = mdb_get(txn, volume_table, &key, &value);
    return rc != 0 ? rc : decode_volume(value, state) ? 0 : MDB_CORRUPTED;
  }
  static bool decode_volume(const MDB_val& value, VolumeState& state) {
    base::Decoder decoder(to_bytes(value));
    state.kind = static_cast<VolumeKind>(decoder.u8());
    state.indexed_bytes = decoder.u64();
    state.live_bytes = decoder.u64();
    state.notes = {decoder.u64(), decoder.u64(), decoder.u64()};
    return decoder.complete() && state.kind <= VolumeKind::solo;
  }
  int put_volume(MDB_txn* txn, std::uint64_t volume, const VolumeState& state) const {
    base::Encoder encoder;
    encoder.u8(static_cast<std::uint8_t>(state.kind)).u64(state.indexed_bytes).u64(state.live_bytes);
    encoder.u64(state.notes.removal_bytes).u64(state.notes.bucket_bytes).u64(state.notes.newest);
    const std::string id = number_key(volume);
    MDB_val key = to_val(id), value = to_val(encoder.bytes());
    return mdb_put(txn, volume_table, &key, &value, 0);
  }

  /// What a batch does to volumes: signed sums of live bytes, and what something ceased to point to.
  struct Effects {
    std::map<std::uint64_t, std::int64_t> live_bytes;
    std::set<std::uint64_t> solo;
    std::vector<Extent> dropped;

    void add(const Record& record) {
      record.for_each_place([&](const Extent& extent) { count(extent, 1); });
    }
    void drop(const Record& record) {
      record.for_each_place([&](const Extent& extent) {
        count(extent, -1);
        dropped.push_back(extent);
      });
    }
    /// What was never counted: nothing may point to it, or an assembled object may.
    void pass_over(const Extent& extent) {
      if (extent.solo) count(extent, 0);
      dropped.push_back(extent);
    }
    void count(const Extent& extent, std::int64_t times) {
      live_bytes[extent.volume] += times * static_cast<std::int64_t>(extent.footprint_bytes());
      if (extent.solo) solo.insert(extent.volume);
    }
    void move(const Extent& from, const Extent& to) {
      live_bytes[from.volume] -= static_cast<std::int64_t>(from.footprint_bytes());
      live_bytes[to.volume] += static_cast<std::int64_t>(to.footprint_bytes());
    }
  };

  int apply(MDB_txn* txn, const Change& change, bool keep_removals, Counters& counters, Effects& effects) const {
    std::span<const std::byte> value;
    int rc = trie.get(txn, change.key, value);
    if (rc != 0 && rc != MDB_NOTFOUND) return rc;
    const bool present = rc == 0;
    if (present) {
      const auto sequence = decode_sequence(value);
      if (!sequence) return MDB_CORRUPTED;
      if (*sequence >= change.sequence) {
        if (change.record && *sequence > change.sequence) change.record->for_each_place([&](const Extent& extent) { effects.pass_over(extent); });
        return 0;
      }
      if (!is_removal(value)) {
        const auto old = decode_record(value);
        if (!old) return MDB_CORRUPTED;
        effects.drop(*old);
        counters.count(change.key, *old, -1);
      }
    }
    if (change.record) {
      rc = trie.put(txn, change.key, encode_record(*change.record), counters.next_node);
      effects.add(*change.record);
      counters.count(change.key, *change.record, 1);
      return rc;
    }
    if (keep_removals) return trie.put(txn, change.key, encode_removal(change.sequence), counters.next_node);
    return present ? trie.erase(txn, change.key) : 0;
  }

  int apply_move(MDB_txn* txn, const Move& move, Counters& counters, Effects& effects) const {
    std::span<const std::byte> value;
    const int rc = trie.get(txn, move.key, value);
    if (rc != 0) return rc == MDB_NOTFOUND ? 0 : rc;
    if (is_removal(value)) return 0;
    auto record = decode_record(value);
    if (!record) return MDB_CORRUPTED;
    Extent* const place = record->list ? &*record->list : record->extents.size() == 1 ? &record->extents.front() : nullptr;
    if (record->sequence != move.sequence || place == nullptr || *place != move.from) return 0;
    *place = move.to;
    effects.move(move.from, move.to);
    return trie.put(txn, move.key, encode_record(*record), counters.next_node);
  }

  /// The byte behind a bucket's time; its options follow where they are not the default. Earlier versions wrote 0 and 1, and read all but 0 as
  /// "exists".
  enum : std::uint8_t { kBucketRemoved = 0, kBucketExists = 1, kBucketSync = 2 };
  static std::uint8_t bucket_state(const BucketChange& change) {
    if (!change.created_ns) return kBucketRemoved;
    return change.options.durability == Durability::sync ? kBucketSync : kBucketExists;
  }

  int apply_buckets(MDB_txn* txn, const std::vector<BucketChange>& changes) const {
    for (const auto& change : changes) {
      MDB_val key = to_val(change.bucket), value;
      int rc = mdb_get(txn, bucket_table, &key, &value);
      if (rc != 0 && rc != MDB_NOTFOUND) return rc;
      if (rc == 0 && base::Decoder(to_bytes(value)).u64() >= change.sequence) continue;
      base::Encoder encoder;  // a removed bucket stays, as removed: an old note must not revive it
      encoder.u64(change.sequence).i64(change.created_ns.value_or(0)).u8(bucket_state(change));
      if (const std::string options = base::encode_bucket_options(change.options); !options.empty()) encoder.text(options);
      value = to_val(encoder.bytes());
      rc = mdb_put(txn, bucket_table, &key, &value, 0);
      if (rc != 0) return rc;
    }
    return 0;
  }

  template <class Visit>  // void(name, sequence, created ns, state)
  int visit_buckets(const Visit& visit) {
    const ReadTxn txn(*this);
    MDB_cursor* raw = nullptr;
    int rc = txn.error() != 0 ? txn.error() : mdb_cursor_open(txn.get(), bucket_table, &raw);
    if (rc != 0) return rc;
    const Cursor cursor(raw);
    MDB_val key, value;
    for (rc = mdb_cursor_get(raw, &key, &value, MDB_FIRST); rc == 0; rc = mdb_cursor_get(raw, &key, &value, MDB_NEXT)) {
      base::Decoder decoder(to_bytes(value));
      const std::uint64_t sequence = decoder.u64();
      const std::int64_t created_ns = decoder.i64();
      const std::uint8_t state = decoder.u8();
      const std::string_view options = decoder.rest().empty() ? std::string_view() : decoder.text();
      if (!decoder.complete()) return MDB_CORRUPTED;
      visit(to_text(key), sequence, created_ns, state, options);
    }
    return rc == MDB_NOTFOUND ? 0 : rc;
  }

  /// Takes out of effects.dropped what lives on.
  int apply_volumes(MDB_txn* txn, const std::map<std::uint64_t, VolumeState>& progress, Effects& effects) const {
    for (const auto& [volume, state] : progress) {
      VolumeState merged;
      const int rc = get_volume(txn, volume, merged);
      if (rc != 0 && rc != MDB_NOTFOUND) return rc;
      merged.kind = state.kind;
      merged.indexed_bytes = state.indexed_bytes;
      merged.notes = state.notes;
      if (const int put_rc = put_volume(txn, volume, merged); put_rc != 0) return put_rc;
    }
    for (const auto& [volume, delta] : effects.live_bytes) {
      VolumeState state;
      int rc = get_volume(txn, volume, state);
      if (rc != 0 && rc != MDB_NOTFOUND) return rc;
      // A list that nothing reads any more may name a number of long ago, which is another volume's now.
      const bool solo = effects.solo.contains(volume) && state.indexed_bytes == 0;
      if (solo) state.kind = VolumeKind::solo;
      state.live_bytes = static_cast<std::uint64_t>(std::max<std::int64_t>(0, static_cast<std::int64_t>(state.live_bytes) + delta));
      const bool dead = solo && state.live_bytes == 0;
      rc = dead ? forget(txn, volume) : put_volume(txn, volume, state);
      if (rc != 0) return rc;
      if (dead) effects.solo.erase(volume);
    }
    std::erase_if(effects.dropped, [&](const Extent& extent) { return extent.solo && effects.solo.contains(extent.volume); });
    return 0;
  }

  int forget(MDB_txn* txn, std::uint64_t volume) const {
    const std::string id = number_key(volume);
    MDB_val key = to_val(id);
    const int rc = mdb_del(txn, volume_table, &key, nullptr);
    return rc == MDB_NOTFOUND ? 0 : rc;
  }
};

Index::Index(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Index::~Index() = default;

Result<std::unique_ptr<Index>> Index::open(base::FileSystem& fs, const std::string& directory) {
  auto impl = std::make_unique<Impl>(directory);
  TARN_CHECK(impl->open(fs));
  return std::unique_ptr<Index>(new Index(std::move(impl)));
}

Result<bool> Index::complete(const base::Uuid& disk, std::string_view mark) const {
  const Impl::ReadTxn txn(*impl_);
  MDB_val key = to_val(kCompleteKey), value;
  const int rc = txn.error() != 0 ? txn.error() : mdb_get(txn.get(), impl_->meta, &key, &value);
  if (rc != 0 && rc != MDB_NOTFOUND) return impl_->error(rc, "read");
  return rc == 0 && to_text(value) == complete_value(disk, mark);
}

Result<void> Index::set_complete(const base::Uuid& disk, std::string_view mark) {
  TARN_CHECK(impl_->usable());
  Impl::WriteTxn txn(*impl_);
  int rc = txn.error();
  const std::string text = complete_value(disk, mark);
  MDB_val key = to_val(kCompleteKey), value = to_val(text);
  if (rc == 0) rc = mdb_put(txn.get(), impl_->meta, &key, &value, 0);
  if (rc == 0) rc = txn.commit();
  if (rc != 0) return impl_->error(rc, "write");
  return {};
}

Result<std::optional<Record>> Index::find(std::string_view key) const {
  const Impl::ReadTxn txn(*impl_);
  std::span<const std::byte> value;
  const int rc = txn.error() != 0 ? txn.error() : impl_->trie.get(txn.get(), key, value);
  if (rc == MDB_NOTFOUND) return std::nullopt;
  if (rc != 0) return impl_->error(rc, "read");
  if (is_removal(value)) return std::nullopt;
  auto record = decode_record(value);
  if (!record) return impl_->error(MDB_CORRUPTED, "read");
  return record;
}

std::optional<BriefRecord> Index::find_brief(std::string_view key) const {
  const Impl::ReadTxn txn(*impl_);
  std::span<const std::byte> value;
  const int rc = txn.error() != 0 ? txn.error() : impl_->trie.get(txn.get(), key, value);
  return rc == 0 ? decode_brief(value) : std::nullopt;
}

Result<void> Index::scan(std::string_view from, const Visitor& visit) const {
  const Impl::ReadTxn txn(*impl_);
  const int rc = txn.error() != 0 ? txn.error() : impl_->trie.scan(txn.get(), from, visit);
  if (rc != 0) return impl_->error(rc, "read");
  return {};
}

Result<std::optional<std::uint64_t>> Index::sequence_of(std::string_view key) const {
  const Impl::ReadTxn txn(*impl_);
  std::span<const std::byte> value;
  const int rc = txn.error() != 0 ? txn.error() : impl_->trie.get(txn.get(), key, value);
  if (rc == MDB_NOTFOUND) return std::nullopt;
  if (rc != 0) return impl_->error(rc, "read");
  const auto sequence = decode_sequence(value);
  if (!sequence) return impl_->error(MDB_CORRUPTED, "read");
  return sequence;
}

Result<IndexCounters> Index::counters() const {
  const Impl::ReadTxn txn(*impl_);
  Impl::Counters counters;
  const int rc = txn.error() != 0 ? txn.error() : impl_->get_counters(txn.get(), counters);
  if (rc != 0) return impl_->error(rc, "read");
  return static_cast<IndexCounters>(counters);
}

Result<std::map<std::uint64_t, VolumeState>> Index::volumes() const {
  const Impl::ReadTxn txn(*impl_);
  MDB_cursor* raw = nullptr;
  int rc = txn.error() != 0 ? txn.error() : mdb_cursor_open(txn.get(), impl_->volume_table, &raw);
  if (rc != 0) return impl_->error(rc, "read");
  const Cursor cursor(raw);
  std::map<std::uint64_t, VolumeState> volumes;
  MDB_val key, value;
  for (rc = mdb_cursor_get(raw, &key, &value, MDB_FIRST); rc == 0; rc = mdb_cursor_get(raw, &key, &value, MDB_NEXT)) {
    if (!Impl::decode_volume(value, volumes[key_number(to_text(key))])) return impl_->error(MDB_CORRUPTED, "read");
  }
  if (rc != MDB_NOTFOUND) return impl_->error(rc, "read");
  return volumes;
}

Result<std::vector<BucketInfo>> Index::buckets() const {
  std::vector<BucketInfo> buckets;
  const int rc =
      impl_->visit_buckets([&](std::string_view name, std::uint64_t, std::int64_t created_ns, std::uint8_t state, std::string_view options) {
        const Durability durability = state == Impl::kBucketSync ? Durability::sync : Durability::none;
        if (state != Impl::kBucketRemoved) buckets.push_back({std::string(name), created_ns, base::decode_bucket_options(options, durability)});
      });
  if (rc != 0) return impl_->error(rc, "read");
  return buckets;
}

Result<std::map<std::string, std::uint64_t, std::less<>>> Index::newest_notes() const {
  std::map<std::string, std::uint64_t, std::less<>> notes;
  const int rc = impl_->visit_buckets(
      [&](std::string_view name, std::uint64_t sequence, std::int64_t, std::uint8_t, std::string_view) { notes.emplace(name, sequence); });
  if (rc != 0) return impl_->error(rc, "read");
  return notes;
}

Result<std::vector<Extent>> Index::commit(Batch& batch) {
  // Neighbours in the tree one after the other: pages are copied once per batch.
  std::sort(batch.changes.begin(), batch.changes.end(), [](const Change* a, const Change* b) { return a->key < b->key; });
  TARN_CHECK(impl_->usable());
  Impl::WriteTxn txn(*impl_);
  if (txn.error() != 0) return impl_->error(txn.error(), "write");
  Impl::Counters counters;
  Impl::Effects effects;
  int rc = impl_->get_counters(txn.get(), counters);
  for (std::size_t i = 0; rc == 0 && i < batch.changes.size(); ++i)
    rc = impl_->apply(txn.get(), *batch.changes[i], batch.keep_removals, counters, effects);
  std::sort(batch.moves.begin(), batch.moves.end(), [](const Move& a, const Move& b) { return a.key < b.key; });
  for (std::size_t i = 0; rc == 0 && i < batch.moves.size(); ++i) rc = impl_->apply_move(txn.get(), batch.moves[i], counters, effects);
  for (const Extent& extent : batch.replaced) effects.pass_over(extent);
  if (rc == 0) rc = impl_->apply_buckets(txn.get(), batch.buckets);
  if (rc == 0) rc = impl_->apply_volumes(txn.get(), batch.volumes, effects);
  counters.sequence = std::max(counters.sequence, batch.sequence);
  if (!batch.volumes.empty()) counters.volume = std::max(counters.volume, batch.volumes.rbegin()->first);
  if (!effects.live_bytes.empty()) counters.volume = std::max(counters.volume, effects.live_bytes.rbegin()->first);
  if (rc == 0) rc = impl_->put_counters(txn.get(), counters);
  if (rc == 0) rc = txn.commit();
  if (rc != 0) return impl_->error(rc, "commit");
  return std::move(effects.dropped);
}

Result<void> Index::drop_removals() {
  std::vector<std::string> keys;
  TARN_CHECK(scan({}, [&](std::string_view key, std::span<const std::byte> value) {
    if (is_removal(value)) keys.emplace_back(key);
    return ScanStep{};
  }));
  Impl::WriteTxn txn(*impl_);
  int rc = txn.error();
  for (std::size_t i = 0; rc == 0 && i < keys.size(); ++i) rc = impl_->trie.erase(txn.get(), keys[i]);
  if (rc == 0) rc = txn.commit();
  if (rc != 0) return impl_->error(rc, "write");
  return {};
}

Result<void> Index::forget_volume(std::uint64_t volume) {
  TARN_CHECK(impl_->usable());
  Impl::WriteTxn txn(*impl_);
  int rc = txn.error();
  if (rc == 0) rc = impl_->forget(txn.get(), volume);
  if (rc == 0) rc = txn.commit();
  if (rc != 0) return impl_->error(rc, "write");
  return {};
}

Result<void> Index::sync() {
  TARN_CHECK(impl_->usable());
  if (const int rc = impl_->sync(); rc != 0) return impl_->error(rc, "sync");
  return {};
}

}  // namespace tarn::volume
