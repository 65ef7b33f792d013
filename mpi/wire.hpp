// wire.hpp - the messages between ranks: one header, and how values of the store are encoded.
// Level 6 (mpi). Pure: no MPI here. docs/WIRE.md draws the bytes.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include <tarn/object.hpp>
#include <tarn/result.hpp>

#include "base/codec.hpp"
#include "object/local_store.hpp"

namespace tarn::mpi {

inline constexpr std::uint32_t kWireMagic = 0x4e524154;  // "TARN"
inline constexpr std::uint8_t kWireVersion = 2;
inline constexpr std::size_t kHeaderBytes = 16;

// Tags of the communicator for messages between two ranks.
inline constexpr int kRequestTag = 0;
inline constexpr int kReplyTag = 1;
inline constexpr int kDataTag = 2;                ///< + slot: bare bytes for the call in that slot
inline constexpr std::size_t kSlotsMax = 16'384;  ///< MPI promises tags up to 32,767

enum class Op : std::uint8_t {
  find = 1,        ///< disk, name -> stored object
  open,            ///< disk, name, inline_max -> stored object, then the bytes themselves or a session
  read,            ///< session, offset, length -> data
  close,           ///< session ->
  read_range,      ///< disk, name, offset, length -> data
  fetch,           ///< extents -> data
  put,             ///< disk, name, options, terms, bytes -> info
  put_begin,       ///< disk, name, options, size hint -> session, credit
  put_piece,       ///< session, number, bytes ->
  put_prepare,     ///< session ->
  put_read_back,   ///< session, offset, length -> data
  put_commit,      ///< session, terms -> info
  put_abort,       ///< session ->
  touch,           ///< sessions that are still in use ->
  remove,          ///< disk, name, perhaps a checksum ->
  remove_copy,     ///< disk, name, time -> whether there was one
  survey,          ///< name -> the versions on all disks of the rank
  versions,        ///< disk, bucket, keys -> time of each
  where,           ///< disk, name -> pointer, own version
  point,           ///< disk, name, pointer -> outcome
  unpoint,         ///< disk, name, time -> pointer
  list,            ///< bucket, options -> page
  stats,           ///< -> numbers of this rank
  bucket_create,   ///< to rank 0: name ->
  bucket_remove,   ///< to rank 0: name ->
  bucket_scatter,  ///< to rank 0: name ->
  bucket_apply,    ///< from rank 0: step, name, time ->
  sort_start,      ///< to rank 0: specification -> id
  sort_run,        ///< from rank 0: id, specification ->
  sort_status,     ///< to rank 0: id -> JSON
  sort_abort,      ///< to rank 0: id ->
  ping,            ///< ->
};
inline constexpr std::size_t kOps = static_cast<std::size_t>(Op::ping) + 1;

struct Header {
  Op op = Op::find;
  std::uint8_t status = 0;  ///< reply: 0, or 1 + ErrorCode and the body is the error
  std::uint64_t id = 0;     ///< the caller's slot
};

/// An encoder that has left room for the header.
[[nodiscard]] base::Encoder begin_message();
void write_header(std::span<std::byte> message, const Header& header) noexcept;
/// @errors corrupt: too short, wrong magic, other version, unknown operation.
[[nodiscard]] Result<Header> read_header(std::span<const std::byte> message);

void encode(base::Encoder& encoder, const Error& error);
[[nodiscard]] Error decode_error(std::uint8_t status, std::span<const std::byte> body);

// Decoders read past damage like base::Decoder: the caller asks failed() or complete() at the end.
void encode(base::Encoder& encoder, const ObjectName& name);
[[nodiscard]] ObjectName decode_name(base::Decoder& decoder);
void encode(base::Encoder& encoder, const PutOptions& options);
[[nodiscard]] PutOptions decode_put_options(base::Decoder& decoder);
void encode(base::Encoder& encoder, const object::CopyTerms& terms);
[[nodiscard]] object::CopyTerms decode_copy_terms(base::Decoder& decoder);
[[nodiscard]] Checksum decode_checksum(base::Decoder& decoder);
void encode(base::Encoder& encoder, const ObjectInfo& info);
[[nodiscard]] ObjectInfo decode_info(base::Decoder& decoder);
void encode(base::Encoder& encoder, const object::StoredObject& stored);
[[nodiscard]] object::StoredObject decode_stored(base::Decoder& decoder);
void encode(base::Encoder& encoder, const std::optional<object::Pointer>& pointer);
[[nodiscard]] std::optional<object::Pointer> decode_pointer(base::Decoder& decoder);
void encode(base::Encoder& encoder, const std::vector<object::StoredObject>& all);
[[nodiscard]] std::vector<object::StoredObject> decode_all_stored(base::Decoder& decoder);
void encode(base::Encoder& encoder, const ListOptions& options);
[[nodiscard]] ListOptions decode_list_options(base::Decoder& decoder);
void encode(base::Encoder& encoder, const ListPage& page);
[[nodiscard]] ListPage decode_page(base::Decoder& decoder);

/// One extent of a fetch.
struct WireExtent {
  std::uint32_t disk = 0;
  std::uint64_t volume = 0;
  std::uint64_t offset = 0;
  std::uint64_t length_bytes = 0;
};
void encode(base::Encoder& encoder, std::span<const WireExtent> extents);
[[nodiscard]] std::vector<WireExtent> decode_extents(base::Decoder& decoder);

/// What `decoder` refused: for replies and requests that do not add up.
[[nodiscard]] Error malformed(std::string_view what);

}  // namespace tarn::mpi
