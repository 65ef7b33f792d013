#include "mpi/responder.hpp"

namespace tarn::mpi {

Responder::~Responder() {
  if (sink_ == nullptr) return;
  try {
    fail(Error(ErrorCode::internal, "a request was dropped: the rank is closing, or out of memory"));
  } catch (...) {  // the peer's time limit ends its wait
    sink_->drop(rank_, charge_);
  }
}

void Responder::send(int tag, Buffer message) {
  if (sink_ != nullptr) std::exchange(sink_, nullptr)->send(rank_, tag, std::move(message), charge_);
}

void Responder::reply(Buffer message) {
  write_header(message.span(), Header{op_, 0, id_});
  send(kReplyTag, std::move(message));
}

void Responder::reply(base::Encoder message, std::span<const std::byte> tail) {
  reply(Buffer(message.bytes(), tail));
}

void Responder::data(Buffer bytes) {
  send(kDataTag + static_cast<int>(id_), std::move(bytes));
}

void Responder::fail(const Error& error) {
  base::Encoder encoder = begin_message();
  encode(encoder, error);
  Buffer message(encoder.bytes());
  write_header(message.span(), Header{op_, static_cast<std::uint8_t>(1 + static_cast<std::uint8_t>(error.code)), id_});
  send(kReplyTag, std::move(message));
}

}  // namespace tarn::mpi
