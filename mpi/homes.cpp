#include "mpi/homes.hpp"

#include <algorithm>
#include <utility>

#include "base/error.hpp"
#include "base/limits.hpp"
#include "mpi/extents.hpp"
#include "mpi/peer_reader.hpp"

namespace tarn::mpi {

using object::CopyTerms;

Result<std::unique_ptr<object::ObjectReader>> Homes::open_neighbour(Home home, const ObjectName& name) {
  if (!neighbours_.reaches(home.rank)) return std::unique_ptr<object::ObjectReader>();
  auto stored = neighbours_.known(home.rank, home.disk, name);
  if (!stored) {
    const auto moment = neighbours_.moment(home.rank);
    TARN_TRY(auto answer, client_.find(home, name));
    stored = neighbours_.learn(home.rank, home.disk, name, std::move(answer), moment);
  }
  auto extents = neighbours_.open(home.rank, *stored);
  if (!extents) {  // moved or overwritten meanwhile, or another file system
    neighbours_.forget(home.rank, home.disk, name);
    return std::unique_ptr<object::ObjectReader>();
  }
  return std::make_unique<NeighbourReader>(home.rank, name, stored->info, std::move(*extents), neighbours_.verified(home.rank, *stored),
                                           [this, home, stored] { neighbours_.set_verified(home.rank, *stored); });
}

Result<object::StoredObject> Homes::find(Home home, const ObjectName& name) {
  return is_here(home) ? local_->find(home.disk, name) : client_.find(home, name);
}

Result<std::unique_ptr<object::ObjectReader>> Homes::open(Home home, const ObjectName& name) {
  if (is_here(home)) return local_->open_reader(home.disk, name);
  TARN_TRY(auto neighbour, open_neighbour(home, name));
  if (neighbour) return neighbour;
  return client_.open_reader(home, name);
}

Result<std::vector<std::byte>> Homes::get(Home home, const ObjectName& name) {
  if (is_here(home)) return local_->get(home.disk, name);
  TARN_TRY(const auto neighbour, open_neighbour(home, name));
  if (!neighbour) return client_.get(home, name);
  std::vector<std::byte> bytes(static_cast<std::size_t>(neighbour->info().size_bytes));
  TARN_CHECK(neighbour->read(0, bytes));  // from 0 to the end: verified
  return bytes;
}

Result<std::size_t> Homes::read(Home home, const ObjectName& name, std::uint64_t offset, std::span<std::byte> target) {
  if (is_here(home)) {
    TARN_TRY(const auto reader, local_->open_reader(home.disk, name));
    TARN_TRY(const std::size_t size, clip(reader->info(), offset, target.size()));
    return reader->read(offset, target.first(size));
  }
  TARN_TRY(const auto neighbour, open_neighbour(home, name));
  if (!neighbour) return client_.read(home, name, offset, target);
  return neighbour->read(offset, target);
}

Result<ObjectInfo> Homes::put(Home home, const ObjectName& name, std::span<const std::byte> bytes, const PutOptions& options,
                              const CopyTerms& terms) {
  return is_here(home) ? local_->put(home.disk, name, bytes, options, terms) : client_.put(home, name, bytes, options, terms);
}

Result<std::unique_ptr<object::CopyWriter>> Homes::create(Home home, const ObjectName& name, const PutOptions& options, std::uint64_t size_hint) {
  return is_here(home) ? local_->create(home.disk, name, options, size_hint) : client_.create(home, name, options, size_hint);
}

Result<void> Homes::remove(Home home, const ObjectName& name, const std::optional<Checksum>& version) {
  return is_here(home) ? local_->remove(home.disk, name, version) : client_.remove(home, name, version);
}

Result<bool> Homes::remove_copy(Home home, const ObjectName& name, std::int64_t not_after_ns) {
  return is_here(home) ? local_->remove_copy(home.disk, name, not_after_ns) : client_.remove_copy(home, name, not_after_ns);
}

Result<object::Whereabouts> Homes::where(Home home, const ObjectName& name) {
  if (is_here(home)) return local_->pointers().find(home.disk, name);
  TARN_TRY(const auto call, client_.caller().call(home.rank, Op::where, begin_object_message(home.disk, name)));
  base::Decoder decoder(call->body());
  object::Whereabouts known;
  known.pointer = decode_pointer(decoder);
  const bool own = decoder.u8() != 0;
  const std::int64_t own_ns = decoder.i64();
  if (own) known.own_ns = own_ns;
  if (!decoder.complete()) return fail(malformed("an object's whereabouts"));
  return known;
}

Result<object::Pointers::Outcome> Homes::point(Home home, const ObjectName& name, const object::Pointer& pointer) {
  if (is_here(home)) return local_->pointers().set(home.disk, name, pointer);
  auto message = begin_object_message(home.disk, name);
  encode(message, std::optional(pointer));
  TARN_TRY(const auto call, client_.caller().call(home.rank, Op::point, std::move(message)));
  base::Decoder decoder(call->body());
  object::Pointers::Outcome outcome;
  outcome.set = decoder.u8() != 0;
  outcome.previous = decode_pointer(decoder);
  if (!decoder.complete()) return fail(malformed("a pointer"));
  return outcome;
}

Result<std::optional<object::Pointer>> Homes::unpoint(Home home, const ObjectName& name, std::int64_t not_after_ns) {
  if (is_here(home)) return local_->pointers().take(home.disk, name, not_after_ns);
  auto message = begin_object_message(home.disk, name);
  message.i64(not_after_ns);
  TARN_TRY(const auto call, client_.caller().call(home.rank, Op::unpoint, std::move(message)));
  base::Decoder decoder(call->body());
  const auto taken = decode_pointer(decoder);
  if (!decoder.complete()) return fail(malformed("a pointer"));
  return taken;
}

Result<std::uint64_t> Homes::copy(Home from, Home to, const ObjectName& name, CopyTerms::Kind kind) {
  TARN_TRY(const auto reader, open(from, name));
  const ObjectInfo& info = reader->info();
  const PutOptions options{info.content_type, info.user_metadata, std::nullopt};
  TARN_TRY(const auto writer, create(to, name, options, info.size_bytes));
  std::vector<std::byte> window(static_cast<std::size_t>(std::min<std::uint64_t>(info.size_bytes, limits::kSoloObjectBytesMin)));
  for (std::uint64_t done = 0; done < info.size_bytes;) {
    const auto piece = std::span(window).first(static_cast<std::size_t>(std::min<std::uint64_t>(window.size(), info.size_bytes - done)));
    TARN_TRY(const std::size_t got, reader->read(done, piece));  // in order: the last piece verifies the whole
    if (got != piece.size()) return fail(ErrorCode::corrupt, name.bucket + "/" + name.key + ": is shorter than its index entry says");
    TARN_CHECK(writer->write(piece));
    done += got;
  }
  TARN_TRY(const ObjectInfo stored, writer->commit_as({kind, info.modified_ns}));
  return stored.modified_ns == info.modified_ns ? info.size_bytes : 0;
}

}  // namespace tarn::mpi
