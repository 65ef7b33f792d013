// sidecar.hpp - the HTTP server of one rank: S3 at /{bucket}/{key}, /v1/sort, and /-/ for operations.
// Level 5 (http). bind(), start(), set_ready() and stop() belong to one thread; url() and port() to any.
//
//   bind() --start()--> serving --set_ready(true)--> ready --stop()--> stopped
//
// Order at open: bind() on every rank (the port is known now), exchange url()s into the StoreMap,
// start() with the service, and set_ready(true) once every rank has started. Until then everything
// but /-/ answers 503 with Retry-After.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include <tarn/object.hpp>
#include <tarn/options.hpp>
#include <tarn/result.hpp>

#include "object/object_service.hpp"

namespace tarn::http {

/// The store's secrets: the same on every rank.
struct AuthConfig {
  std::string token;       ///< what "Authorization: Bearer ..." must carry
  std::string secret_key;  ///< signs the Location of redirects, so that their target lets the client in
  std::string token_file;  ///< path of endpoint.json, named in the sentence of an AccessDenied; may be empty
};

class Sidecar {
 public:
  /// Opens the listening socket. A client that connects before start() waits.
  /// @param rank  added to options.port when that is not 0.
  /// @errors invalid (bind is neither an address nor an interface with one; names those there are),
  ///         busy (port in use), denied, io.
  [[nodiscard]] static Result<std::unique_ptr<Sidecar>> bind(const SidecarOptions& options, RankId rank);
  ~Sidecar();  ///< as stop()

  /// "http://127.0.0.1:41001". For a bind to all addresses it names this host.
  [[nodiscard]] const std::string& url() const noexcept;
  [[nodiscard]] std::uint16_t port() const noexcept;

  /// Starts options.threads I/O threads and the pool for calls that block. `service` must live until
  /// stop() has returned. @errors invalid: no token, and anonymous access was not asked for.
  [[nodiscard]] Result<void> start(object::ObjectService& service, AuthConfig auth);
  void set_ready(bool ready) noexcept;
  /// Accepts no more, lets requests in progress end for up to kHttpDrainTimeout, cuts the rest and joins
  /// all threads. No call to the service is in progress or follows when it returns.
  void stop();

 private:
  class Impl;
  explicit Sidecar(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace tarn::http
