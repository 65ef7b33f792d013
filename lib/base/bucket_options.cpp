#include "base/bucket_options.hpp"

#include <algorithm>
#include <charconv>
#include <optional>

#include "base/error.hpp"

namespace tarn {

namespace {

template <class Number>
std::optional<Number> parse_number(std::string_view text) noexcept {
  Number value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

constexpr std::string_view kRankPrefix = "rank=";
constexpr std::string_view kChecksumPolicies[] = {"store", "never", "first", "always"};

}  // namespace

std::string to_string(const PlacementPolicy& policy) {
  switch (policy.kind) {
    case PlacementPolicy::Kind::local:
      return "local";
    case PlacementPolicy::Kind::rank:
      return std::string(kRankPrefix) + std::to_string(policy.rank);
    case PlacementPolicy::Kind::hash:
      break;
  }
  return "hash";
}

std::optional<PlacementPolicy> parse_placement(std::string_view text) noexcept {
  using Kind = PlacementPolicy::Kind;
  if (text == "hash") return PlacementPolicy{};
  if (text == "local") return PlacementPolicy{Kind::local, -1};
  if (!text.starts_with(kRankPrefix)) return std::nullopt;
  const auto rank = parse_number<RankId>(text.substr(kRankPrefix.size()));
  if (!rank || *rank < 0) return std::nullopt;
  return PlacementPolicy{Kind::rank, *rank};
}

std::string_view to_string(ChecksumPolicy policy) noexcept {
  return kChecksumPolicies[static_cast<std::size_t>(policy)];
}

std::optional<ChecksumPolicy> parse_checksum_policy(std::string_view text) noexcept {
  const auto* found = std::find(std::begin(kChecksumPolicies), std::end(kChecksumPolicies), text);
  if (found == std::end(kChecksumPolicies)) return std::nullopt;
  return static_cast<ChecksumPolicy>(found - std::begin(kChecksumPolicies));
}

namespace base {

std::string encode_bucket_options(const BucketOptions& options) {
  std::string text;
  const auto add = [&](std::string_view name, const std::string& value) {
    if (!text.empty()) text += ' ';
    text.append(name).append("=").append(value);
  };
  const BucketOptions defaults;
  if (options.mirror != defaults.mirror) add("mirror", std::to_string(options.mirror));
  if (options.placement != defaults.placement) add("placement", to_string(options.placement));
  if (options.checksum != defaults.checksum) add("checksum", std::string(to_string(options.checksum)));
  if (options.scattered) add("scattered", "yes");
  return text;
}

namespace {

/// @return whether the word is understood.
bool apply_word(std::string_view word, BucketOptions& options) {
  const std::size_t equals = word.find('=');
  const std::string_view name = word.substr(0, equals), value = equals == std::string_view::npos ? "" : word.substr(equals + 1);
  if (name == "mirror") {
    const auto copies = parse_number<unsigned>(value);
    if (!copies || *copies < 1 || *copies > kMirrorMax) return false;
    options.mirror = *copies;
  } else if (name == "placement") {
    const auto placement = parse_placement(value);
    if (!placement) return false;
    options.placement = *placement;
  } else if (name == "checksum") {
    const auto checksum = parse_checksum_policy(value);
    if (!checksum) return false;
    options.checksum = *checksum;
  } else if (name == "scattered") {
    options.scattered = value == "yes";
  } else {
    return false;
  }
  return true;
}

/// Calls visit(word) for each.
template <class Visit>
void for_each_word(std::string_view text, const Visit& visit) {
  while (!text.empty()) {
    const std::string_view word = text.substr(0, text.find(' '));
    text.remove_prefix(std::min(text.size(), word.size() + 1));
    if (!word.empty()) visit(word);
  }
}

}  // namespace

BucketOptions decode_bucket_options(std::string_view text, Durability durability) {
  BucketOptions options;
  options.durability = durability;
  for_each_word(text, [&](std::string_view word) { (void)apply_word(word, options); });
  return options;
}

Result<BucketOptions> parse_bucket_options(std::string_view text, Durability durability) {
  BucketOptions options;
  options.durability = durability;
  std::string_view wrong;
  for_each_word(text, [&](std::string_view word) {
    if (!apply_word(word, options) && wrong.empty()) wrong = word;
  });
  if (!wrong.empty())
    return fail(ErrorCode::invalid, "a bucket's property '" + std::string(wrong.substr(0, 80)) + "' is not understood; there are mirror=1.." +
                                        std::to_string(kMirrorMax) + ", placement=hash|local|rank=N and checksum=store|never|first|always");
  return options;
}

Result<void> check_bucket_options(const BucketOptions& options) {
  if (options.mirror < 1 || options.mirror > kMirrorMax)
    return fail(ErrorCode::invalid, "mirror=" + std::to_string(options.mirror) + ": a bucket keeps 1 to " + std::to_string(kMirrorMax) + " copies");
  if (options.placement.kind == PlacementPolicy::Kind::rank && options.placement.rank < 0)
    return fail(ErrorCode::invalid, "placement " + to_string(options.placement) + ": there is no such rank");
  if (options.mirror > 1 && options.placement != PlacementPolicy{})
    return fail(ErrorCode::unsupported, "placement " + to_string(options.placement) + " with mirror=" + std::to_string(options.mirror) +
                                            ": copies are placed by hash; give one or the other");
  return {};
}

BucketOptions stronger(const BucketOptions& a, const BucketOptions& b) noexcept {
  BucketOptions both = a;
  both.durability = std::max(a.durability, b.durability);
  both.mirror = std::max(a.mirror, b.mirror);
  if (both.placement == PlacementPolicy{}) both.placement = b.placement;
  both.checksum = std::max(a.checksum, b.checksum);
  both.scattered = a.scattered || b.scattered;
  return both;
}

}  // namespace base

}  // namespace tarn
