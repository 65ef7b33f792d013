// key_trie.hpp - keys longer than LMDB's, as a trie over two of its databases.
// Level 2 (volume). The thread rules of the transaction that is passed in. Functions return LMDB's codes.
//
// LMDB allows keys of 511 bytes, ours have up to 1,088. A key is therefore cut into chunks of 480 bytes:
//
//   at the root (db "objects"):          at node N (db "nodes"), every key with N (8 bytes, big endian) in front:
//     rest <= 480 bytes:  rest -> value    N rest       -> value
//     longer:       chunk 0x01 -> node id  N chunk 0x01 -> node id
//
// A branch is the only entry of 481 bytes (without N), and sorts behind the key that is exactly its chunk and before all
// that are greater: walking the trie in LMDB's order gives byte order.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

struct MDB_txn;  // lmdb.h stays in .cpp files

namespace tarn::volume {

/// What a visitor wants next.
struct ScanStep {
  enum Action : std::uint8_t { next, stop, seek } action = next;
  std::string target;  ///< of seek: go on at the first key >= target; must be greater than the current key
};
using KeyVisitor = std::function<ScanStep(std::string_view key, std::span<const std::byte> value)>;

class KeyTrie {
 public:
  using Db = unsigned int;  // MDB_dbi
  KeyTrie() = default;
  KeyTrie(Db objects, Db nodes) : objects_(objects), nodes_(nodes) {}

  /// @return 0, MDB_NOTFOUND, or an error.
  int get(MDB_txn* txn, std::string_view key, std::span<const std::byte>& value) const;
  /// @param next_node  the last node id that was given out; grows.
  int put(MDB_txn* txn, std::string_view key, std::span<const std::byte> value, std::uint64_t& next_node) const;
  /// Removes a key, and the branches that have become empty by it. A missing key is fine.
  int erase(MDB_txn* txn, std::string_view key) const;
  /// Visits the keys >= from, in byte order, as the visitor's steps say.
  int scan(MDB_txn* txn, std::string_view from, const KeyVisitor& visit) const;

 private:
  struct Slot;
  [[nodiscard]] Db db_of(std::uint64_t node) const noexcept;
  int path_to(MDB_txn* txn, std::string_view key, std::vector<Slot>& path, std::uint64_t* next_node) const;
  int is_empty_node(MDB_txn* txn, std::uint64_t node, bool& empty) const;
  int walk(MDB_txn* txn, std::uint64_t node, const std::string& prefix, std::string_view from, const KeyVisitor& visit, ScanStep& step) const;

  Db objects_ = 0, nodes_ = 0;
};

}  // namespace tarn::volume
