#include "s3/list_parse.hpp"

#include <string>
#include <vector>

#include <catch2/catch.hpp>

#include "base/hash.hpp"
#include "base/text.hpp"

using namespace tarn;
using namespace tarn::s3;

TEST_CASE("parse_list_objects: a page in S3's form", "[s3]") {
  const std::string hex = "00112233445566778899aabbccddeeff";
  const auto listing = parse_list_objects(R"(<?xml version="1.0" encoding="UTF-8"?>
<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>raw</Name><Prefix/><KeyCount>3</KeyCount><MaxKeys>3</MaxKeys>
<EncodingType>url</EncodingType><IsTruncated>true</IsTruncated><NextContinuationToken>abc=</NextContinuationToken>
<Contents><Key>a%20b%2B%01.png</Key><LastModified>2026-01-31T12:34:56.789Z</LastModified><ETag>&quot;x3-)" +
                                          hex + R"(&quot;</ETag><Size>12</Size></Contents>
<Contents><Key>c+d</Key><LastModified>2026-01-31T12:34:56Z</LastModified><ETag>"d41d8cd98f00b204e9800998ecf8427e"</ETag><Size>0</Size></Contents>
<CommonPrefixes><Prefix>e%2F</Prefix></CommonPrefixes></ListBucketResult>)");
  REQUIRE(listing);
  REQUIRE(listing->page.objects.size() == 2);
  CHECK(listing->page.objects[0].key == "a b+\x01.png");
  CHECK(listing->page.objects[0].size_bytes == 12);
  CHECK(base::to_hex(listing->page.objects[0].checksum) == hex);
  CHECK(base::format_iso_time(listing->page.objects[0].modified_ns) == "2026-01-31T12:34:56.789Z");
  CHECK(listing->page.objects[1].key == "c+d");
  CHECK(listing->page.objects[1].checksum == Checksum{});
  CHECK(listing->page.common_prefixes == std::vector<std::string>{"e/"});
  CHECK(listing->page.truncated);
  CHECK(listing->continuation == "abc=");
}

TEST_CASE("parse_list_objects: without encoding a percent sign is itself", "[s3]") {
  const auto listing = parse_list_objects("<ListBucketResult><Contents><Key>100%25 &amp; more</Key><Size>1</Size></Contents></ListBucketResult>");
  REQUIRE(listing);
  CHECK(listing->page.objects.at(0).key == "100%25 & more");
  CHECK(!listing->page.truncated);
}

TEST_CASE("parse_list_objects: what is not a listing is refused", "[s3]") {
  for (const char* xml : {"", "not xml", "<Error/>", "<ListBucketResult><Contents><Key>a</Key></Contents></ListBucketResult>",
                          "<ListBucketResult><Contents><Key>a</Key><Size>1x</Size></Contents></ListBucketResult>",
                          "<ListBucketResult><Contents><Size>1</Size></Contents></ListBucketResult>",
                          "<ListBucketResult><IsTruncated>true</IsTruncated></ListBucketResult>",
                          "<ListBucketResult><EncodingType>url</EncodingType><Contents><Key>%zz</Key><Size>1</Size></Contents></ListBucketResult>"}) {
    INFO(xml);
    const auto listing = parse_list_objects(xml);
    REQUIRE(!listing);
    CHECK(listing.error().code == ErrorCode::invalid);
  }
}

TEST_CASE("parse_list_buckets, parse_error", "[s3]") {
  const auto buckets = parse_list_buckets(
      "<ListAllMyBucketsResult><Buckets><Bucket><Name>raw</Name><CreationDate>2026-01-01T00:00:00.000Z</CreationDate></Bucket>"
      "<Bucket><Name>out</Name></Bucket></Buckets></ListAllMyBucketsResult>");
  REQUIRE(buckets);
  REQUIRE(buckets->size() == 2);
  CHECK(buckets->at(0).name == "raw");
  CHECK(buckets->at(0).created_ns == 1767225600LL * 1'000'000'000);
  CHECK(buckets->at(1).name == "out");
  const auto error = parse_error("<Error><Code>NoSuchKey</Code><Message>no object 'a'</Message></Error>");
  REQUIRE(error);
  CHECK(error->code == "NoSuchKey");
  CHECK(error->message == "no object 'a'");
  CHECK(!parse_error("502 Bad Gateway"));
}

TEST_CASE("parse_iso_time: malformed times are refused", "[s3]") {
  CHECK(parse_iso_time("1970-01-01T00:00:01.5Z") == 1'500'000'000);
  for (const char* text : {"", "2026", "2026-01-31 12:34:56Z", "2026-01-31T12:34:56", "2026-01-31T12:34:56.7+01:00"}) CHECK(!parse_iso_time(text));
}
