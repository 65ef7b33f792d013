#include "mpi/wire.hpp"

#include <algorithm>
#include <utility>

namespace tarn::mpi {

using base::Decoder;
using base::Encoder;

Encoder begin_message() {
  Encoder encoder;
  return std::move(encoder.u64(0).u64(0));
}

void write_header(std::span<std::byte> message, const Header& header) noexcept {
  std::size_t at = 0;  // in place: without an allocation
  const auto put = [&]<class T>(T value) {
    for (std::size_t i = 0; i < sizeof(T); ++i) message[at++] = static_cast<std::byte>((value >> (8 * i)) & 0xff);
  };
  put(kWireMagic);
  put(kWireVersion);
  put(static_cast<std::uint8_t>(header.op));
  put(header.status);
  put(std::uint8_t{0});
  put(std::uint64_t{header.id});
  static_assert(kHeaderBytes == 16);
}

Result<Header> read_header(std::span<const std::byte> message) {
  Decoder decoder(message.first(std::min(message.size(), kHeaderBytes)));
  const auto magic = decoder.u32();
  const auto version = decoder.u8();
  const auto op = decoder.u8();
  Header header;
  header.status = decoder.u8();
  static_cast<void>(decoder.u8());
  header.id = decoder.u64();
  if (decoder.failed() || magic != kWireMagic) return fail(ErrorCode::corrupt, "a message of another rank is not one of Tarn's");
  if (version != kWireVersion)
    return fail(ErrorCode::corrupt,
                "another rank speaks version " + std::to_string(version) + " of the peer protocol, this one version " + std::to_string(kWireVersion));
  if (op == 0 || op >= kOps) return fail(ErrorCode::corrupt, "another rank asks for unknown operation " + std::to_string(op));
  header.op = static_cast<Op>(op);
  return header;
}

void encode(Encoder& encoder, const Error& error) {
  encoder.u32(static_cast<std::uint32_t>(error.rank)).text(error.message);
}

Error decode_error(std::uint8_t status, std::span<const std::byte> body) {
  Decoder decoder(body);
  const auto rank = static_cast<int>(decoder.u32());
  std::string text(decoder.text());
  const auto code = static_cast<std::uint8_t>(status - 1);
  if (decoder.failed() || code > static_cast<std::uint8_t>(ErrorCode::internal)) return malformed("an error");
  return Error(static_cast<ErrorCode>(code), std::move(text), rank);
}

void encode(Encoder& encoder, const ObjectName& name) {
  encoder.text(name.bucket).text(name.key);
}

ObjectName decode_name(Decoder& decoder) {
  ObjectName name;
  name.bucket = decoder.text();
  name.key = decoder.text();
  return name;
}

namespace {

void encode_map(Encoder& encoder, const std::map<std::string, std::string>& map) {
  encoder.u32(static_cast<std::uint32_t>(map.size()));
  for (const auto& [name, value] : map) encoder.text(name).text(value);
}

std::map<std::string, std::string> decode_map(Decoder& decoder) {
  std::map<std::string, std::string> map;
  for (std::uint32_t left = decoder.u32(); left > 0 && !decoder.failed(); --left) {
    std::string name(decoder.text());
    map[std::move(name)] = decoder.text();
  }
  return map;
}

}  // namespace

void encode(Encoder& encoder, const PutOptions& options) {
  encoder.text(options.content_type);
  encode_map(encoder, options.user_metadata);
}

PutOptions decode_put_options(Decoder& decoder) {
  PutOptions options;
  options.content_type = decoder.text();
  options.user_metadata = decode_map(decoder);
  return options;
}

void encode(Encoder& encoder, const object::CopyTerms& terms) {
  encoder.u8(static_cast<std::uint8_t>(terms.kind)).i64(terms.modified_ns);
}

object::CopyTerms decode_copy_terms(Decoder& decoder) {
  using Kind = object::CopyTerms::Kind;
  object::CopyTerms terms;
  terms.kind = static_cast<Kind>(std::min<std::uint8_t>(decoder.u8(), static_cast<std::uint8_t>(Kind::mend)));
  terms.modified_ns = decoder.i64();
  return terms;
}

void encode(Encoder& encoder, const ObjectInfo& info) {
  encoder.text(info.key).u64(info.size_bytes).raw(std::as_bytes(std::span(info.checksum))).i64(info.modified_ns).text(info.content_type);
  encode_map(encoder, info.user_metadata);
}

Checksum decode_checksum(Decoder& decoder) {
  Checksum checksum{};
  const auto bytes = decoder.raw(checksum.size());
  std::transform(bytes.begin(), bytes.end(), checksum.begin(), [](std::byte b) { return static_cast<std::uint8_t>(b); });
  return checksum;
}

ObjectInfo decode_info(Decoder& decoder) {
  ObjectInfo info;
  info.key = decoder.text();
  info.size_bytes = decoder.u64();
  info.checksum = decode_checksum(decoder);
  info.modified_ns = decoder.i64();
  info.content_type = decoder.text();
  info.user_metadata = decode_map(decoder);
  return info;
}

void encode(Encoder& encoder, const object::StoredObject& stored) {
  encode(encoder, stored.info);
  encoder.u32(stored.disk).u64(stored.sequence).u32(static_cast<std::uint32_t>(stored.extents.size()));
  for (const auto& extent : stored.extents) encoder.u64(extent.volume).u64(extent.offset).u64(extent.length_bytes).u8(extent.blocks ? 1 : 0);
}

object::StoredObject decode_stored(Decoder& decoder) {
  object::StoredObject stored;
  stored.info = decode_info(decoder);
  stored.disk = decoder.u32();
  stored.sequence = decoder.u64();
  for (std::uint32_t left = decoder.u32(); left > 0 && !decoder.failed(); --left) {
    object::StoredExtent extent;
    extent.volume = decoder.u64();
    extent.offset = decoder.u64();
    extent.length_bytes = decoder.u64();
    extent.blocks = decoder.u8() != 0;
    stored.extents.push_back(extent);
  }
  return stored;
}

void encode(Encoder& encoder, const std::optional<object::Pointer>& pointer) {
  encoder.u8(pointer ? 1 : 0);
  if (pointer) encoder.raw(std::as_bytes(std::span(pointer->disk.bytes))).i64(pointer->modified_ns);
}

std::optional<object::Pointer> decode_pointer(Decoder& decoder) {
  if (decoder.u8() == 0) return std::nullopt;
  object::Pointer pointer;
  const auto bytes = decoder.raw(pointer.disk.bytes.size());
  std::transform(bytes.begin(), bytes.end(), pointer.disk.bytes.begin(), [](std::byte b) { return static_cast<std::uint8_t>(b); });
  pointer.modified_ns = decoder.i64();
  return pointer;
}

void encode(Encoder& encoder, const std::vector<object::StoredObject>& all) {
  encoder.u32(static_cast<std::uint32_t>(all.size()));
  for (const auto& stored : all) encode(encoder, stored);
}

std::vector<object::StoredObject> decode_all_stored(Decoder& decoder) {
  std::vector<object::StoredObject> all;
  for (std::uint32_t left = decoder.u32(); left > 0 && !decoder.failed(); --left) all.push_back(decode_stored(decoder));
  return all;
}

void encode(Encoder& encoder, const ListOptions& options) {
  encoder.text(options.prefix).text(options.delimiter).text(options.start_after).u64(options.max_keys);
}

ListOptions decode_list_options(Decoder& decoder) {
  ListOptions options;
  options.prefix = decoder.text();
  options.delimiter = decoder.text();
  options.start_after = decoder.text();
  options.max_keys = static_cast<std::size_t>(decoder.u64());
  return options;
}

void encode(Encoder& encoder, const ListPage& page) {
  encoder.u32(static_cast<std::uint32_t>(page.objects.size()));
  for (const auto& object : page.objects) encode(encoder, object);
  encoder.u32(static_cast<std::uint32_t>(page.common_prefixes.size()));
  for (const auto& prefix : page.common_prefixes) encoder.text(prefix);
  encoder.u8(page.truncated ? 1 : 0).text(page.next_start_after);
}

ListPage decode_page(Decoder& decoder) {
  ListPage page;
  for (std::uint32_t left = decoder.u32(); left > 0 && !decoder.failed(); --left) page.objects.push_back(decode_info(decoder));
  for (std::uint32_t left = decoder.u32(); left > 0 && !decoder.failed(); --left) page.common_prefixes.emplace_back(decoder.text());
  page.truncated = decoder.u8() != 0;
  page.next_start_after = decoder.text();
  return page;
}

void encode(Encoder& encoder, std::span<const WireExtent> extents) {
  encoder.u32(static_cast<std::uint32_t>(extents.size()));
  for (const auto& extent : extents) encoder.u32(extent.disk).u64(extent.volume).u64(extent.offset).u64(extent.length_bytes);
}

std::vector<WireExtent> decode_extents(Decoder& decoder) {
  std::vector<WireExtent> extents;
  for (std::uint32_t left = decoder.u32(); left > 0 && !decoder.failed(); --left) {
    WireExtent extent;
    extent.disk = decoder.u32();
    extent.volume = decoder.u64();
    extent.offset = decoder.u64();
    extent.length_bytes = decoder.u64();
    extents.push_back(extent);
  }
  return extents;
}

Error malformed(std::string_view what) {
  return Error(ErrorCode::corrupt, std::string(what) + " in a message of another rank is malformed");
}

}  // namespace tarn::mpi
