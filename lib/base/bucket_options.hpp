// bucket_options.hpp - what a bucket was made with, as text: for disks, messages, headers and people.
// Level 1 (base). Pure.
//
//   "mirror=2 placement=rank=3 checksum=always"     only what is not the default; durability is written by itself
#pragma once

#include <string>
#include <string_view>

#include <tarn/object.hpp>
#include <tarn/result.hpp>

namespace tarn::base {

/// All but the durability; empty: defaults.
[[nodiscard]] std::string encode_bucket_options(const BucketOptions& options);
/// Words that are not known, of a newer version, are skipped; so are values that make no sense.
[[nodiscard]] BucketOptions decode_bucket_options(std::string_view text, Durability durability);
/// What somebody asks for in that form. @errors invalid: a word that is not understood.
[[nodiscard]] Result<BucketOptions> parse_bucket_options(std::string_view text, Durability durability);
/// Of a new bucket. @errors invalid: no such number of copies, or rank.
[[nodiscard]] Result<void> check_bucket_options(const BucketOptions& options);
/// What two disks of a store say of one bucket: one that lost its note, or never had it, says less.
[[nodiscard]] BucketOptions stronger(const BucketOptions& a, const BucketOptions& b) noexcept;

}  // namespace tarn::base
