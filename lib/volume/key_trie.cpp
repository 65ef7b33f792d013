#include "volume/key_trie.hpp"

#include <lmdb.h>

#include <memory>
#include <utility>

namespace tarn::volume {

namespace {

constexpr std::size_t kChunkBytes = 480;
constexpr std::size_t kNodeBytes = 8;
constexpr char kBranch = '\x01';
constexpr std::uint64_t kRoot = 0;
static_assert(kNodeBytes + kChunkBytes + 1 <= 511, "LMDB's longest key");
static_assert(std::is_same_v<KeyTrie::Db, MDB_dbi>);

MDB_val to_val(std::string_view text) {
  return {text.size(), const_cast<char*>(text.data())};
}
std::string_view to_text(const MDB_val& value) {
  return {static_cast<const char*>(value.mv_data), value.mv_size};
}
std::span<const std::byte> to_bytes(const MDB_val& value) {
  return {static_cast<const std::byte*>(value.mv_data), value.mv_size};
}

std::string node_text(std::uint64_t node) {
  std::string text(kNodeBytes, '\0');
  for (std::size_t i = kNodeBytes; i-- > 0; node >>= 8) text[i] = static_cast<char>(node & 0xff);
  return text;
}
std::uint64_t text_node(std::string_view text) {
  std::uint64_t node = 0;
  for (const char c : text) node = node << 8 | static_cast<unsigned char>(c);
  return node;
}
std::string node_prefix(std::uint64_t node) {
  return node == kRoot ? std::string() : node_text(node);
}

struct CursorClose {
  void operator()(MDB_cursor* cursor) const noexcept { mdb_cursor_close(cursor); }
};
using Cursor = std::unique_ptr<MDB_cursor, CursorClose>;

}  // namespace

/// An entry on the way to a key.
struct KeyTrie::Slot {
  std::uint64_t node = kRoot;
  std::string key;  // with the node id in front, except at the root
};

KeyTrie::Db KeyTrie::db_of(std::uint64_t node) const noexcept {
  return node == kRoot ? objects_ : nodes_;
}

/// The slots from the root to the key's own. A missing branch: MDB_NOTFOUND, or made when there is a `next_node`.
int KeyTrie::path_to(MDB_txn* txn, std::string_view key, std::vector<Slot>& path, std::uint64_t* next_node) const {
  std::uint64_t node = kRoot;
  while (key.size() > kChunkBytes) {
    Slot slot{node, node_prefix(node).append(key.substr(0, kChunkBytes)) + kBranch};
    MDB_val at = to_val(slot.key), value;
    int rc = mdb_get(txn, db_of(node), &at, &value);
    if (rc == MDB_NOTFOUND && next_node != nullptr) {
      const std::string id = node_text(++*next_node);
      value = to_val(id);
      rc = mdb_put(txn, db_of(node), &at, &value, 0);
      node = *next_node;
    } else if (rc == 0) {
      if (value.mv_size != kNodeBytes) return MDB_CORRUPTED;
      node = text_node(to_text(value));
    }
    if (rc != 0) return rc;
    path.push_back(std::move(slot));
    key.remove_prefix(kChunkBytes);
  }
  path.push_back({node, node_prefix(node).append(key)});
  return 0;
}

int KeyTrie::get(MDB_txn* txn, std::string_view key, std::span<const std::byte>& value) const {
  MDB_val at = to_val(key), found;
  int rc = 0;
  if (key.size() <= kChunkBytes) {  // nearly all keys
    rc = mdb_get(txn, objects_, &at, &found);
  } else {
    std::vector<Slot> path;
    rc = path_to(txn, key, path, nullptr);
    if (rc != 0) return rc;
    at = to_val(path.back().key);
    rc = mdb_get(txn, db_of(path.back().node), &at, &found);
  }
  if (rc == 0) value = to_bytes(found);
  return rc;
}

int KeyTrie::put(MDB_txn* txn, std::string_view key, std::span<const std::byte> value, std::uint64_t& next_node) const {
  std::vector<Slot> path;
  if (const int rc = path_to(txn, key, path, &next_node); rc != 0) return rc;
  MDB_val at = to_val(path.back().key);
  MDB_val bytes{value.size(), const_cast<std::byte*>(value.data())};
  return mdb_put(txn, db_of(path.back().node), &at, &bytes, 0);
}

int KeyTrie::erase(MDB_txn* txn, std::string_view key) const {
  std::vector<Slot> path;
  if (const int rc = path_to(txn, key, path, nullptr); rc != 0) return rc == MDB_NOTFOUND ? 0 : rc;
  while (!path.empty()) {
    const Slot slot = std::move(path.back());
    path.pop_back();
    MDB_val at = to_val(slot.key);
    if (const int rc = mdb_del(txn, db_of(slot.node), &at, nullptr); rc != 0) return rc == MDB_NOTFOUND ? 0 : rc;
    if (slot.node == kRoot) return 0;
    bool empty = false;
    if (const int rc = is_empty_node(txn, slot.node, empty); rc != 0 || !empty) return rc;
  }
  return 0;
}

int KeyTrie::is_empty_node(MDB_txn* txn, std::uint64_t node, bool& empty) const {
  MDB_cursor* raw = nullptr;
  if (const int rc = mdb_cursor_open(txn, nodes_, &raw); rc != 0) return rc;
  const Cursor cursor(raw);
  const std::string prefix = node_text(node);
  MDB_val key = to_val(prefix), value;
  const int rc = mdb_cursor_get(raw, &key, &value, MDB_SET_RANGE);
  empty = rc == MDB_NOTFOUND || (rc == 0 && to_text(key).substr(0, kNodeBytes) != prefix);
  return rc == MDB_NOTFOUND ? 0 : rc;
}

int KeyTrie::scan(MDB_txn* txn, std::string_view from, const KeyVisitor& visit) const {
  std::string target(from);
  while (true) {
    ScanStep step;
    const int rc = walk(txn, kRoot, {}, target, visit, step);
    if (rc != 0 || step.action != ScanStep::seek) return rc;
    target = std::move(step.target);
  }
}

/// Visits the keys >= from below `node`, whose keys all begin with `prefix`. `step` is the visitor's last wish.
int KeyTrie::walk(MDB_txn* txn, std::uint64_t node, const std::string& prefix, std::string_view from, const KeyVisitor& visit, ScanStep& step) const {
  MDB_cursor* raw = nullptr;
  if (const int rc = mdb_cursor_open(txn, db_of(node), &raw); rc != 0) return rc;
  const Cursor cursor(raw);
  const std::string in_front = node_prefix(node);
  const bool into_branch = from.size() > kChunkBytes;
  std::string start = in_front + std::string(from.substr(0, kChunkBytes));
  if (into_branch) start += kBranch;
  MDB_val key = to_val(start), value;
  int rc = mdb_cursor_get(raw, &key, &value, start.empty() ? MDB_FIRST : MDB_SET_RANGE);
  for (bool first = true; rc == 0; first = false, rc = mdb_cursor_get(raw, &key, &value, MDB_NEXT)) {
    std::string_view part = to_text(key);
    if (part.substr(0, in_front.size()) != in_front) return 0;
    const bool same = first && into_branch && part == start;
    part.remove_prefix(in_front.size());
    if (part.size() <= kChunkBytes) {
      step = prefix.empty() ? visit(part, to_bytes(value)) : visit(prefix + std::string(part), to_bytes(value));
    } else {
      if (value.mv_size != kNodeBytes) return MDB_CORRUPTED;
      const std::string below = prefix + std::string(part.substr(0, kChunkBytes));
      rc = walk(txn, text_node(to_text(value)), below, same ? from.substr(kChunkBytes) : std::string_view(), visit, step);
      if (rc != 0) return rc;
    }
    if (step.action != ScanStep::next) return 0;
  }
  return rc == MDB_NOTFOUND ? 0 : rc;
}

}  // namespace tarn::volume
