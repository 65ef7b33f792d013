// ListObjectsV2 and errors in S3's XML, read back with our own reader; grants in redirects; digests.
#include "s3/list_objects.hpp"

#include <catch2/catch.hpp>

#include <string>

#include "base/hash.hpp"
#include "s3/api_error.hpp"
#include "s3/digest.hpp"
#include "s3/list_parse.hpp"
#include "s3/signature.hpp"

using namespace tarn;
using namespace tarn::s3;

namespace {

ListQuery query_of(const QueryParameters& parameters) {
  auto query = parse_list_query(parameters);
  REQUIRE(query);
  return *query;
}

std::string refusal(const QueryParameters& parameters) {
  const auto query = parse_list_query(parameters);
  return query ? "" : query.error().code;
}

ObjectInfo object(const std::string& key) {
  ObjectInfo info;
  info.key = key;
  info.size_bytes = 7;
  info.modified_ns = 1'700'000'000'123'000'000;
  return info;
}

}  // namespace

TEST_CASE("parse_list_query: parameters of ListObjectsV2", "[s3][list]") {
  const auto query =
      query_of({{"list-type", "2"}, {"prefix", "a/"}, {"delimiter", "/"}, {"start-after", "a/b"}, {"max-keys", "5000"}, {"encoding-type", "url"}});
  CHECK(query.options.prefix == "a/");
  CHECK(query.options.delimiter == "/");
  CHECK(query.options.start_after == "a/b");
  CHECK(query.options.max_keys == 1000);
  CHECK(query.url_encoding);
  CHECK(query_of({}).options.max_keys == 1000);
  CHECK(query_of({{"max-keys", "0"}}).options.max_keys == 0);
}

TEST_CASE("parse_list_query: a token wins over start-after, and only ours are taken", "[s3][list]") {
  const std::string name = "k\xc3\xa4y/\x01";
  const auto query = query_of({{"continuation-token", make_continuation_token(name)}, {"start-after", "a"}});
  CHECK(query.options.start_after == name);
  CHECK(query.start_after == "a");
  for (const std::string token : {"x", "abc", "zz", "6G"}) CHECK(refusal({{"continuation-token", token}}) == "InvalidArgument");
}

TEST_CASE("parse_list_query: malformed and unknown parameters", "[s3][list]") {
  for (const std::string value : {"", "-1", "abc", "1x", "99999999999"}) CHECK(refusal({{"max-keys", value}}) == "InvalidArgument");
  CHECK(refusal({{"encoding-type", "base64"}}) == "InvalidArgument");
  CHECK(refusal({{"versions", ""}}) == "NotImplemented");
}

TEST_CASE("list_objects_xml: keys that XML and URLs do not like come back", "[s3][list]") {
  ListPage page;
  for (const std::string key : {"a<b>&\"'", "a b+c%", "\xc3\xa4/\xf0\x9f\x90\x9f", "tab\there"}) page.objects.push_back(object(key));
  page.common_prefixes = {"p<&/"};
  page.truncated = true;
  page.next_start_after = "tab\there";
  for (const bool url_encoding : {false, true}) {
    ListQuery query;
    query.url_encoding = url_encoding;
    const auto parsed = parse_list_objects(list_objects_xml("bucket", query, page));
    REQUIRE(parsed);
    REQUIRE(parsed->page.objects.size() == page.objects.size());
    for (std::size_t i = 0; i < page.objects.size(); ++i) CHECK(parsed->page.objects[i] == page.objects[i]);
    CHECK(parsed->page.common_prefixes == page.common_prefixes);
    CHECK(parsed->page.truncated);
    CHECK(query_of({{"continuation-token", parsed->continuation}}).options.start_after == page.next_start_after);
  }
}

TEST_CASE("list_objects_xml: encoding-type=url writes %20 and %2B", "[s3][list]") {
  ListPage page;
  page.objects.push_back(object("a b+c/d"));
  ListQuery query;
  query.url_encoding = true;
  CHECK(list_objects_xml("bucket", query, page).find("<Key>a%20b%2Bc/d</Key>") != std::string::npos);
}

TEST_CASE("list_buckets_xml and error_xml can be read back", "[s3][xml]") {
  const auto buckets = parse_list_buckets(list_buckets_xml({{"alpha", 1'700'000'000'123'000'000}, {"beta", 0, Durability::sync}}));
  REQUIRE(buckets);
  REQUIRE(buckets->size() == 2);
  CHECK(buckets->front().name == "alpha");
  CHECK(buckets->front().created_ns == 1'700'000'000'123'000'000);
  CHECK(buckets->front().options.durability == Durability::none);
  CHECK(buckets->back().options.durability == Durability::sync);
  const auto error = parse_error(error_xml({404, "NoSuchKey", "no <object> & co"}, "/b/k", "id"));
  REQUIRE(error);
  CHECK(error->code == "NoSuchKey");
  CHECK(error->message == "no <object> & co");
}

TEST_CASE("error_xml: what XML cannot hold becomes U+FFFD", "[s3][xml]") {
  const std::string xml = error_xml({404, "NoSuchKey", "no object named b/\x01\xff"}, "/b/\x1f\xef\xbf\xbf", "id");
  CHECK(xml.find("<Message>no object named b/\xef\xbf\xbd\xef\xbf\xbd</Message>") != std::string::npos);
  CHECK(xml.find("<Resource>/b/\xef\xbf\xbd\xef\xbf\xbd</Resource>") != std::string::npos);
}

TEST_CASE("api_error: codes by the table, the rank named", "[s3][xml]") {
  const auto error = api_error(Error(ErrorCode::rank_lost, "no answer", 7));
  CHECK(error.status == 503);
  CHECK(error.code == "ServiceUnavailable");
  CHECK(error.message == "no answer (rank 7)");
}

TEST_CASE("etag_of: never mistaken for an MD5", "[s3][list]") {
  const auto tag = etag_of(Checksum{0xab});
  CHECK(tag.size() == 2 + 3 + 32);
  CHECK(tag.find('-') != std::string::npos);
  CHECK(checksum_of_etag(tag) == Checksum{0xab});
}

TEST_CASE("RedirectSigner: a grant is good for what it names, until it expires", "[s3][signature]") {
  RedirectSigner signer("secret");
  constexpr std::int64_t kExpires = 1'000'060;
  const std::string query = signer.query({"GET", "bucket", "a/b", 3, kExpires});
  QueryParameters parameters;
  for (std::size_t begin = 0; begin < query.size();) {
    const auto end = std::min(query.find('&', begin), query.size());
    const auto item = query.substr(begin, end - begin);
    parameters.emplace_back(item.substr(0, item.find('=')), item.substr(item.find('=') + 1));
    begin = end + 1;
  }
  using Verdict = RedirectSigner::Verdict;
  const auto good = signer.check(parameters, "GET", "bucket", "a/b", kExpires);
  CHECK(good.verdict == Verdict::valid);
  CHECK(good.epoch == 3);
  CHECK(signer.check(parameters, "GET", "bucket", "a/b", kExpires + 1).verdict == Verdict::expired);
  CHECK(signer.check(parameters, "PUT", "bucket", "a/b", kExpires).verdict == Verdict::wrong);
  CHECK(signer.check(parameters, "GET", "bucket", "a/c", kExpires).verdict == Verdict::wrong);
  CHECK(signer.check(parameters, "GET", "bucket2", "a/b", kExpires).verdict == Verdict::wrong);
  CHECK(RedirectSigner("other").check(parameters, "GET", "bucket", "a/b", kExpires).verdict == Verdict::wrong);
  CHECK(signer.check({}, "GET", "bucket", "a/b", kExpires).verdict == Verdict::absent);
  for (auto& [name, value] : parameters) {
    auto changed = parameters;
    for (auto& [other, text] : changed)
      if (other == name) text[0] = text[0] == '1' ? '2' : '1';
    CHECK(signer.check(changed, "GET", "bucket", "a/b", kExpires).verdict == Verdict::wrong);
  }
}

TEST_CASE("RedirectSigner: HMAC-SHA256 as OpenSSL's command computes it", "[s3][signature]") {
  // printf 'tarn-redirect-1\nGET\nbucket/key\n1\n60' | openssl dgst -sha256 -hmac secret
  CHECK(RedirectSigner("secret").query({"GET", "bucket", "key", 1, 60}) ==
        "x-tarn-epoch=1&x-tarn-expires=60&x-tarn-signature=b53a909e529b470d6c296125de24b23506e4d57ab7b1f95acc651d27b33d998c");
}

TEST_CASE("equal_in_constant_time", "[s3][signature]") {
  CHECK(equal_in_constant_time("abc", "abc"));
  CHECK(equal_in_constant_time("", ""));
  CHECK_FALSE(equal_in_constant_time("abc", "abd"));
  CHECK_FALSE(equal_in_constant_time("abc", "ab"));
}
