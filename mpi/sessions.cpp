#include "mpi/sessions.hpp"

#include <new>
#include <string>
#include <utility>

#include "base/limits.hpp"
#include "mpi/guarded.hpp"

namespace tarn::mpi {

void WriteSession::add(std::uint64_t number, Request request, std::size_t bytes_at, WorkerPool& pool) {
  const std::lock_guard lock(mutex_);
  if (lost_piece_) return request.responder().fail(*error_);  // what comes after it would wait for ever
  try {
    pieces_.emplace(number, Piece{std::move(request), bytes_at});
    if (running_ || pieces_.begin()->first != next_) return;
    pool.submit([self = shared_from_this()] { self->write_pieces(); });
    running_ = true;
  } catch (const std::bad_alloc&) {
    lost_piece_ = true;
    error_ = no_memory();
    if (!running_) pieces_.clear();  // answered when they are destroyed
  }
}

std::optional<WriteSession::Piece> WriteSession::next_piece() {
  const std::lock_guard lock(mutex_);
  if (lost_piece_) pieces_.clear();
  if (pieces_.empty() || pieces_.begin()->first != next_) {
    running_ = false;
    return std::nullopt;
  }
  std::optional<Piece> piece(std::move(pieces_.begin()->second));
  pieces_.erase(pieces_.begin());
  ++next_;
  return piece;
}

void WriteSession::write_pieces() noexcept {
  for (;;) {
    auto piece = next_piece();
    if (!piece) return;
    try {
      if (auto written = write(*piece); written) {
        piece->request.responder().done();
      } else {
        piece->request.responder().fail(written.error());
      }
    } catch (const std::bad_alloc&) {  // the piece answers when it is destroyed
      const std::lock_guard lock(mutex_);
      if (!error_) error_ = no_memory();
    }
  }
}

Result<void> WriteSession::write(const Piece& piece) {
  {
    const std::lock_guard lock(mutex_);
    if (error_) return fail(*error_);
  }
  auto written = guarded("writing a piece", [&] { return writer_->write(piece.request.body().subspan(piece.bytes_at)); });
  if (!written) {
    const std::lock_guard lock(mutex_);
    error_ = written.error();
  }
  return written;
}

Result<void> WriteSession::prepare() {
  const std::lock_guard lock(mutex_);
  if (error_) return fail(*error_);
  return writer_->prepare();
}

Result<std::size_t> WriteSession::read_back(std::uint64_t offset, std::span<std::byte> target) {
  const std::lock_guard lock(mutex_);
  if (error_) return fail(*error_);
  return writer_->read_back(offset, target);
}

Result<ObjectInfo> WriteSession::commit(const object::CopyTerms& terms) {
  const std::lock_guard lock(mutex_);
  if (error_) return fail(*error_);
  error_ = Error(ErrorCode::invalid, "this object has been committed already");
  return writer_->commit_as(terms);
}

Result<std::uint64_t> Sessions::add(std::shared_ptr<ReadSession> session, int client) {
  return add(Entry{client, std::move(session), nullptr, Clock::now()});
}

Result<std::uint64_t> Sessions::add(std::shared_ptr<WriteSession> session, int client) {
  return add(Entry{client, nullptr, std::move(session), Clock::now()});
}

Result<std::uint64_t> Sessions::add(Entry entry) {
  const std::lock_guard lock(mutex_);
  if (entries_.size() >= limits::kPeerSessionsMax)
    return fail(ErrorCode::busy, "too many objects of this rank are open for other ranks (" + std::to_string(limits::kPeerSessionsMax) + ")");
  const std::uint64_t id = next_id_++;
  entries_.emplace(id, std::move(entry));
  return id;
}

Sessions::Entry* Sessions::find(std::uint64_t id, int client) {
  const auto at = entries_.find(id);
  return at != entries_.end() && at->second.client == client ? &at->second : nullptr;
}

namespace {

tl::unexpected<Error> gone() {
  return fail(ErrorCode::rank_lost, "the owner has closed this object, because its client was silent for too long; try again");
}

}  // namespace

Result<std::shared_ptr<ReadSession>> Sessions::reader(std::uint64_t id, int client) {
  const std::lock_guard lock(mutex_);
  auto* entry = find(id, client);
  if (entry == nullptr || !entry->reader) return gone();
  entry->last_use = Clock::now();
  return entry->reader;
}

Result<std::shared_ptr<WriteSession>> Sessions::writer(std::uint64_t id, int client) {
  const std::lock_guard lock(mutex_);
  auto* entry = find(id, client);
  if (entry == nullptr || !entry->writer) return gone();
  entry->last_use = Clock::now();
  return entry->writer;
}

void Sessions::touch(std::uint64_t id, int client) {
  const std::lock_guard lock(mutex_);
  if (auto* entry = find(id, client); entry != nullptr) entry->last_use = Clock::now();
}

void Sessions::remove(std::uint64_t id, int client) {
  Entry dropped{};
  const std::lock_guard lock(mutex_);
  if (auto* entry = find(id, client); entry != nullptr) {
    dropped = std::move(*entry);
    entries_.erase(id);
  }
}

std::vector<std::shared_ptr<void>> Sessions::take_expired(Clock::time_point limit) {
  std::vector<std::shared_ptr<void>> expired;
  const std::lock_guard lock(mutex_);
  for (auto at = entries_.begin(); at != entries_.end();) {
    if (at->second.last_use < limit) {
      if (at->second.reader) expired.push_back(std::move(at->second.reader));
      if (at->second.writer) expired.push_back(std::move(at->second.writer));
      at = entries_.erase(at);
    } else {
      ++at;
    }
  }
  return expired;
}

void Sessions::clear() {
  std::map<std::uint64_t, Entry> dropped;
  const std::lock_guard lock(mutex_);
  dropped.swap(entries_);
}

std::size_t Sessions::size() const {
  const std::lock_guard lock(mutex_);
  return entries_.size();
}

}  // namespace tarn::mpi
