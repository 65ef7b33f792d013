// signature.hpp - secrets: comparison in constant time, and the short-lived grant in a redirect's Location.
// Level 5 (s3). Comparison: any thread. A RedirectSigner: one thread; each has its own.
//
// A client that follows a redirect to another port drops its Authorization header. So the rank that has checked the
// client puts a grant into the Location, which every rank of the store can verify:
//
//   ?x-tarn-epoch=E&x-tarn-expires=T&x-tarn-signature=hex(HMAC-SHA256(secret key,
//        "tarn-redirect-1\n" METHOD "\n" bucket "/" key "\n" E "\n" T))      names decoded, T in seconds since 1970
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "s3/list_objects.hpp"

namespace tarn::s3 {

/// @cost depends on the lengths only.
[[nodiscard]] bool equal_in_constant_time(std::string_view a, std::string_view b) noexcept;

/// Who may do what until when, and by which map the signer sent the client here.
struct RedirectGrant {
  std::string_view method;
  std::string_view bucket;
  std::string_view key;
  std::uint64_t epoch = 0;
  std::int64_t expires_s = 0;  ///< since the Unix epoch
};

class RedirectSigner {
 public:
  explicit RedirectSigner(std::string_view secret_key);
  ~RedirectSigner();
  RedirectSigner(const RedirectSigner&) = delete;
  RedirectSigner& operator=(const RedirectSigner&) = delete;

  /// "x-tarn-epoch=..&x-tarn-expires=..&x-tarn-signature=.."  @cost about 1 us.
  [[nodiscard]] std::string query(const RedirectGrant& grant);

  enum class Verdict { absent, valid, expired, wrong };
  struct Checked {
    Verdict verdict = Verdict::absent;
    std::uint64_t epoch = 0;  ///< of the signer's map; set when valid
  };
  [[nodiscard]] Checked check(const QueryParameters& parameters, std::string_view method, std::string_view bucket, std::string_view key,
                              std::int64_t now_s);

 private:
  [[nodiscard]] std::string signature(const RedirectGrant& grant);
  struct State;
  std::unique_ptr<State> state_;
};

/// Whether this query parameter belongs to a grant.
[[nodiscard]] bool is_grant_parameter(std::string_view name) noexcept;

}  // namespace tarn::s3
