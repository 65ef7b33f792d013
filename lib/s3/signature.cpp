#include "s3/signature.hpp"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/params.h>

#include <array>
#include <charconv>

#include "base/assert.hpp"

namespace tarn::s3 {

namespace {

constexpr std::string_view kEpoch = "x-tarn-epoch";
constexpr std::string_view kExpires = "x-tarn-expires";
constexpr std::string_view kSignature = "x-tarn-signature";

struct FreeMac {
  void operator()(EVP_MAC* mac) const noexcept { EVP_MAC_free(mac); }
  void operator()(EVP_MAC_CTX* context) const noexcept { EVP_MAC_CTX_free(context); }
};

template <class T>
std::optional<T> parse_number(const std::string* text) {
  if (text == nullptr) return std::nullopt;
  T value{};
  const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), value);
  if (error != std::errc() || end != text->data() + text->size()) return std::nullopt;
  return value;
}

}  // namespace

bool equal_in_constant_time(std::string_view a, std::string_view b) noexcept {
  return a.size() == b.size() && CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

/// A context that has taken in the key and is started anew for each signature.
struct RedirectSigner::State {
  std::unique_ptr<EVP_MAC, FreeMac> mac{EVP_MAC_fetch(nullptr, "HMAC", nullptr)};
  std::unique_ptr<EVP_MAC_CTX, FreeMac> keyed;
};

RedirectSigner::RedirectSigner(std::string_view secret_key) : state_(std::make_unique<State>()) {
  TARN_ASSERT(state_->mac != nullptr);
  state_->keyed.reset(EVP_MAC_CTX_new(state_->mac.get()));
  std::array<char, 7> digest{"SHA256"};
  const std::array<OSSL_PARAM, 2> parameters{OSSL_PARAM_construct_utf8_string("digest", digest.data(), 0), OSSL_PARAM_construct_end()};
  // OpenSSL takes a null key for "no key yet": an empty one needs an address.
  const auto* key = reinterpret_cast<const unsigned char*>(secret_key.empty() ? "" : secret_key.data());
  const int ok = EVP_MAC_init(state_->keyed.get(), key, secret_key.size(), parameters.data());
  TARN_ASSERT(ok == 1);
}

RedirectSigner::~RedirectSigner() = default;

std::string RedirectSigner::signature(const RedirectGrant& grant) {
  std::string text = "tarn-redirect-1\n";
  text.append(grant.method).append("\n").append(grant.bucket).append("/").append(grant.key);
  text.append("\n").append(std::to_string(grant.epoch)).append("\n").append(std::to_string(grant.expires_s));
  EVP_MAC_CTX* context = state_->keyed.get();
  std::array<unsigned char, 32> digest{};
  std::size_t size = 0;
  const bool ok = EVP_MAC_init(context, nullptr, 0, nullptr) == 1 &&
                  EVP_MAC_update(context, reinterpret_cast<const unsigned char*>(text.data()), text.size()) == 1 &&
                  EVP_MAC_final(context, digest.data(), &size, digest.size()) == 1;
  TARN_ASSERT(ok && size == digest.size());
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string hex;
  hex.reserve(2 * digest.size());
  for (const unsigned char byte : digest) {
    hex.push_back(kDigits[byte >> 4]);
    hex.push_back(kDigits[byte & 15]);
  }
  return hex;
}

std::string RedirectSigner::query(const RedirectGrant& grant) {
  std::string text(kEpoch);
  text.append("=").append(std::to_string(grant.epoch)).append("&").append(kExpires).append("=").append(std::to_string(grant.expires_s));
  return text.append("&").append(kSignature).append("=").append(signature(grant));
}

RedirectSigner::Checked RedirectSigner::check(const QueryParameters& parameters, std::string_view method, std::string_view bucket,
                                              std::string_view key, std::int64_t now_s) {
  const std::string* given = find_parameter(parameters, kSignature);
  if (given == nullptr) return {};
  const auto epoch = parse_number<std::uint64_t>(find_parameter(parameters, kEpoch));
  const auto expires_s = parse_number<std::int64_t>(find_parameter(parameters, kExpires));
  if (!epoch || !expires_s) return {Verdict::wrong, 0};
  if (!equal_in_constant_time(*given, signature({method, bucket, key, *epoch, *expires_s}))) return {Verdict::wrong, 0};
  if (now_s > *expires_s) return {Verdict::expired, 0};
  return {Verdict::valid, *epoch};
}

bool is_grant_parameter(std::string_view name) noexcept {
  return name == kEpoch || name == kExpires || name == kSignature;
}

}  // namespace tarn::s3
