// exchange.hpp - one request and its response, as the routes see them.
// Level 5 (http). Belongs to its worker's thread; reused for all requests of a connection.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include <tarn/result.hpp>

#include "base/json.hpp"
#include "http/asio.hpp"
#include "http/message.hpp"
#include "http/offload.hpp"
#include "http/request_reader.hpp"
#include "http/response_head.hpp"
#include "http/target.hpp"
#include "http/transport.hpp"
#include "http/worker.hpp"
#include "s3/api_error.hpp"

namespace tarn::http {

class Exchange {
 public:
  Exchange(Worker& the_worker, Transport& transport, RequestReader& reader);

  Worker& worker;
  Server& server;
  RequestHead head;
  Target target;
  Operation operation = Operation::other;
  std::uint64_t grant_epoch = 0;  ///< of the map by which another rank redirected the client to here; 0: it did not

  /// After the head has been read, and after the response has been sent.
  void begin();
  void end();

  // Coroutines start when they are awaited: what their parameters refer to must live until then.

  // --- the request's body

  /// Sends 100 Continue when the client waits for it: from here on the body will be read. @return false: broken.
  Task<bool> accept_body();
  /// Fills `target_bytes`, less only at the end. A body that cannot be read ends the connection.
  Task<BodyRead> read_body(std::span<std::byte> target_bytes);
  /// A whole document. @errors invalid: longer than `size_bytes_max`, malformed, cut.
  Task<Result<std::string>> read_document(std::size_t size_bytes_max);
  [[nodiscard]] std::string_view body_failure() const noexcept { return reader_.body_failure().message; }

  // --- the response: begin_response, add fields, then one of the sends

  /// Status line and the fields that each response has. Add others to the result.
  ResponseHead& begin_response(int status);
  [[nodiscard]] ResponseHead& response() noexcept { return response_; }
  /// Ends the head and sends it with a whole body (which is left out for HEAD and for 204 and 304).
  /// Content-Length is added. `body` need not live until return.
  Task<> send(std::string_view body);
  Task<> send(std::span<const std::byte> body);
  /// The same without a coroutine: @return false: the socket took only part (a copy of the rest is kept), send_rest() is due.
  [[nodiscard]] bool send_at_once(std::span<const std::byte> body);
  Task<> send_rest();
  /// Ends the head and sends it alone. The caller has added Content-Length and sends so many bytes.
  Task<bool> send_head(bool body_follows);
  Task<bool> send_piece(std::span<const std::byte> bytes);
  Task<bool> send_file(const base::File& file, std::uint64_t offset, std::uint64_t length_bytes);
  /// Gives up in the middle of a body: the client sees that it is not whole.
  void cut() noexcept;

  Task<> send_json(int status, base::Json value);
  Task<> send_xml(int status, std::string text);
  /// An error document, in S3's XML or, below /v1 and /-, in JSON.
  Task<> refuse(s3::ApiError error);
  Task<> refuse(const Error& error);
  /// 416 with the object's size.
  Task<> refuse_range(std::uint64_t size_bytes);
  /// For a request whose head could not be read: always closes.
  Task<> refuse_unread(s3::ApiError error);

  [[nodiscard]] bool responded() const noexcept { return responded_; }
  [[nodiscard]] bool broken() const noexcept { return broken_; }
  [[nodiscard]] bool closing() const noexcept { return !keep_alive_; }
  /// The connection ends after the response.
  void close_after() noexcept { close_ = true; }
  [[nodiscard]] std::string peer() const { return transport_.peer(); }
  /// Whether errors are told in JSON.
  [[nodiscard]] bool speaks_json() const noexcept { return target.name.bucket == "v1" || target.name.bucket == "-"; }

  /// Runs a call that may wait on a thread of the pool. `work` returns a Result and is run once.
  /// @errors those of `work`; busy: too many calls wait already.
  template <class F>
  Task<std::invoke_result_t<F&>> blocking(F work) {
    return offload(server.pool, std::move(work), Admission::bounded);
  }
  /// On this thread when it is known not to wait.
  template <class F>
  Task<std::invoke_result_t<F&>> call(bool here, F work) {
    if (here) co_return work();
    co_return co_await offload(server.pool, std::move(work), Admission::bounded);
  }
  /// As blocking(), for the next step of a transfer that has begun: never refused.
  template <class F>
  Task<std::invoke_result_t<F&>> blocking_step(F work) {
    return offload(server.pool, std::move(work), Admission::always);
  }

 private:
  void finish_head();
  ResponseHead& begin_refusal(const s3::ApiError& error);
  std::string error_text(const s3::ApiError& error) const;

  Transport& transport_;
  RequestReader& reader_;
  ResponseHead response_;
  std::string request_id_;
  std::vector<std::byte> rest_;  // of a response that the socket did not take at once
  std::chrono::steady_clock::time_point started_;
  std::uint64_t bytes_in_ = 0;
  std::uint64_t bytes_out_ = 0;
  bool continue_owed_ = false;  // the client waits for 100 Continue
  bool responded_ = false;
  bool broken_ = false;
  bool close_ = false;
  bool keep_alive_ = true;
};

}  // namespace tarn::http
