// digest.hpp - the digests that clients send along with a body: MD5, SHA-1, SHA-256.
// Level 5 (s3). Resource type: no copy; one thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

namespace tarn::s3 {

enum class DigestKind : std::uint8_t { md5, sha1, sha256 };

class Digest {
 public:
  explicit Digest(DigestKind kind);
  ~Digest();
  Digest(const Digest&) = delete;
  Digest& operator=(const Digest&) = delete;

  void update(std::span<const std::byte> bytes);
  /// Base64, as in Content-MD5 and x-amz-checksum-*. Call one of the two, once.
  [[nodiscard]] std::string base64();
  /// Lower-case hex, as in x-amz-content-sha256.
  [[nodiscard]] std::string hex();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace tarn::s3
