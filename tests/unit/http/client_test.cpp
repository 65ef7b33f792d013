// client_test.cpp - the client against servers that answer as a script says: errors, redirects, damage, reuse of connections.
#include "http/client.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>
#include <set>
#include <string>

#include <catch2/catch.hpp>

#include "base/hash.hpp"
#include "base/json.hpp"
#include "base/version.hpp"
#include "placement/map_json.hpp"
#include "placement/placement.hpp"
#include "scripted_server.hpp"
#include "support/temporary_directory.hpp"

using namespace tarn;
using namespace tarn::http;
using tests::reply;
using tests::ScriptedReply;
using tests::ScriptedRequest;
using tests::ScriptedServer;

namespace {

std::span<const std::byte> bytes_of(std::string_view text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

std::string etag_of(std::string_view text) {
  return "ETag: \"x3-" + base::to_hex(base::xxh3_128(bytes_of(text))) + "\"\r\n";
}

placement::StoreMap map_of(const std::vector<std::string>& urls) {
  placement::StoreMap map;
  map.store_id = base::Uuid::random();
  for (std::size_t i = 0; i < urls.size(); ++i) {
    map.ranks.push_back({static_cast<RankId>(i), "host", "node", urls[i]});
    placement::Disk disk;
    disk.id.bytes[15] = static_cast<std::uint8_t>(i + 1);
    disk.weight = 1;
    disk.rank = static_cast<RankId>(i);
    map.disks.push_back(disk);
  }
  return map;
}

Endpoint endpoint_of(std::vector<std::string> urls, std::string token = "secret") {
  return {"endpoint.json", "", std::move(urls), std::move(token)};
}

bool asks_for_map(const ScriptedRequest& request) {
  return request.line() == "GET /-/map HTTP/1.1";
}

/// A server that is the whole store: answers the map itself, everything else by the script.
class OneRankStore {
 public:
  explicit OneRankStore(ScriptedServer::Script script)
      : server_([this, script = std::move(script)](const ScriptedRequest& request) {
          if (asks_for_map(request)) return reply("200 OK", boost::json::serialize(placement::map_to_json(map_of({server_.url()}))));
          return script(request);
        }) {}
  [[nodiscard]] Client client() const { return Client(endpoint_of({server_.url()}), {std::chrono::milliseconds(5000)}); }
  [[nodiscard]] const ScriptedServer& server() const { return server_; }

 private:
  ScriptedServer server_;
};

struct Collected {
  std::string text;
  BodySink sink = [this](std::span<const std::byte> piece) -> Result<void> {
    text.append(reinterpret_cast<const char*>(piece.data()), piece.size());
    return {};
  };
};

}  // namespace

TEST_CASE("Client.get: the bytes, checked; token and agent are sent; one connection serves many requests", "[http][client]") {
  const OneRankStore store([](const ScriptedRequest&) { return reply("200 OK", "hello", etag_of("hello") + "x-amz-meta-a: b\r\n"); });
  Client client(store.client());
  for (int i = 0; i < 3; ++i) {
    Collected got;
    const auto info = client.get({"raw", "a b/ü"}, got.sink);
    REQUIRE(info);
    CHECK(got.text == "hello");
    CHECK(info->size_bytes == 5);
    CHECK(info->user_metadata.at("a") == "b");
  }
  const auto requests = store.server().requests();
  REQUIRE(requests.size() == 4);
  CHECK(requests[1].line() == "GET /raw/a%20b/%C3%BC HTTP/1.1");
  CHECK_THAT(requests[1].head, Catch::Contains("Authorization: Bearer secret"));
  CHECK_THAT(requests[1].head, Catch::Contains("User-Agent: tarn/" + std::string(base::version())));
  CHECK(store.server().accepted() == 1);
}

TEST_CASE("Client.get: chunked answers and answers without a length", "[http][client]") {
  const bool chunked = GENERATE(true, false);
  const OneRankStore store([=](const ScriptedRequest&) {
    if (chunked) return ScriptedReply{"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n", false};
    return ScriptedReply{"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhello", true};
  });
  Client client(store.client());
  Collected got;
  REQUIRE(client.get({"raw", "a"}, got.sink));
  CHECK(got.text == "hello");
  Collected again;
  REQUIRE(client.get({"raw", "a"}, again.sink));
  CHECK(again.text == "hello");
}

TEST_CASE("Client.get: wrong bytes and missing bytes are errors", "[http][client]") {
  SECTION("a flipped byte") {
    const OneRankStore store([](const ScriptedRequest&) { return reply("200 OK", "hellO", etag_of("hello")); });
    Client client(store.client());
    Collected got;
    const auto info = client.get({"raw", "a"}, got.sink);
    REQUIRE(!info);
    CHECK(info.error().code == ErrorCode::corrupt);
  }
  SECTION("a connection that ends early") {
    const OneRankStore store([](const ScriptedRequest&) { return ScriptedReply{"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello", true}; });
    Client client(store.client());
    Collected got;
    const auto info = client.get({"raw", "a"}, got.sink);
    REQUIRE(!info);
    CHECK(info.error().code == ErrorCode::io);
    CHECK_THAT(info.error().message, Catch::Contains("tarn://raw/a"));
  }
  SECTION("an answer that is not HTTP") {
    const OneRankStore store([](const ScriptedRequest&) { return ScriptedReply{"SSH-2.0-OpenSSH_9.2\r\n\r\n", true}; });
    Client client(store.client());
    Collected got;
    CHECK(!client.get({"raw", "a"}, got.sink));
  }
}

TEST_CASE("Client.get: a range is asked for as HTTP counts", "[http][client]") {
  const OneRankStore store([](const ScriptedRequest&) { return reply("206 Partial Content", "ell", etag_of("hello")); });
  Client client(store.client());
  Collected got;
  REQUIRE(client.get({"raw", "a"}, got.sink, ByteRange{1, 3}));
  CHECK(got.text == "ell");
  REQUIRE(client.get({"raw", "a"}, got.sink, ByteRange{7, ByteRange::kToEnd}));
  CHECK(!client.get({"raw", "a"}, got.sink, ByteRange{7, 0}));
  const auto requests = store.server().requests();
  CHECK_THAT(requests[1].head, Catch::Contains("Range: bytes=1-3\r\n"));
  CHECK_THAT(requests[2].head, Catch::Contains("Range: bytes=7-\r\n"));
}

TEST_CASE("Client: what the store answers becomes the error that it means", "[http][client]") {
  struct Row {
    const char* status;
    const char* s3_code;
    ErrorCode code;
  };
  const Row row =
      GENERATE(Row{"404 Not Found", "NoSuchKey", ErrorCode::not_found}, Row{"404 Not Found", "NoSuchBucket", ErrorCode::bucket_not_found},
               Row{"403 Forbidden", "AccessDenied", ErrorCode::denied}, Row{"507 Insufficient Storage", "InsufficientStorage", ErrorCode::no_space},
               Row{"503 Slow Down", "SlowDown", ErrorCode::busy}, Row{"416 Range", "InvalidRange", ErrorCode::out_of_range},
               Row{"400 Bad Request", "KeyTooLongError", ErrorCode::invalid}, Row{"500 Error", "InternalError", ErrorCode::io},
               Row{"501 Not Implemented", "NotImplemented", ErrorCode::unsupported});
  const OneRankStore store([=](const ScriptedRequest&) {
    return reply(row.status, "<Error><Code>" + std::string(row.s3_code) + "</Code><Message>the reason &amp; more</Message></Error>");
  });
  Client client(store.client());
  Collected got;
  const auto info = client.get({"raw", "a"}, got.sink);
  REQUIRE(!info);
  INFO(row.s3_code << ": " << info.error().message);
  if (row.code == ErrorCode::busy)
    CHECK((info.error().code == ErrorCode::busy || info.error().code == ErrorCode::timeout));
  else
    CHECK(info.error().code == row.code);
  CHECK_THAT(info.error().message, Catch::Contains("the reason & more") && Catch::Contains("tarn://raw/a"));
  CHECK(got.text.empty());
}

TEST_CASE("Client.put: body, length and type arrive; the stored checksum is compared", "[http][client]") {
  std::string answer_etag = etag_of("the body");
  const OneRankStore store([&](const ScriptedRequest&) { return reply("200 OK", "", answer_etag); });
  Client client(store.client());
  SpanBody body(bytes_of("the body"));
  const auto info = client.put({"raw", "a"}, body, {"text/plain", {{"colour", "red"}}});
  REQUIRE(info);
  CHECK(info->size_bytes == 8);
  CHECK(info->checksum == base::xxh3_128(bytes_of("the body")));
  const auto request = store.server().requests().at(1);
  CHECK(request.body == "the body");
  CHECK_THAT(request.head,
             Catch::Contains("Content-Type: text/plain") && Catch::Contains("x-amz-meta-colour: red") && Catch::Contains("Content-Length: 8"));
  SECTION("another checksum") {
    answer_etag = etag_of("another body");
    REQUIRE(body.rewind());
    const auto wrong = client.put({"raw", "a"}, body);
    REQUIRE(!wrong);
    CHECK(wrong.error().code == ErrorCode::corrupt);
  }
  SECTION("an empty body") {
    answer_etag = etag_of("");
    SpanBody empty({});
    REQUIRE(client.put({"raw", "a"}, empty));
    CHECK_THAT(store.server().requests().back().head, Catch::Contains("Content-Length: 0"));
  }
}

TEST_CASE("Client.put: a stream of unknown size goes out in chunks, after the server agreed", "[http][client]") {
  const OneRankStore store([&](const ScriptedRequest&) { return reply("200 OK", "", etag_of("through a pipe")); });
  Client client(store.client());
  int pipe[2];
  REQUIRE(::pipe(pipe) == 0);
  REQUIRE(::write(pipe[1], "through a pipe", 14) == 14);
  ::close(pipe[1]);
  StreamBody body(pipe[0], "the pipe");
  const auto info = client.put({"raw", "a"}, body);
  ::close(pipe[0]);
  REQUIRE(info);
  CHECK(info->size_bytes == 14);
  const auto request = store.server().requests().at(1);
  CHECK(request.body == "e\r\nthrough a pipe\r\n0\r\n\r\n");
  CHECK_THAT(request.head, Catch::Contains("Expect: 100-continue"));
}

TEST_CASE("Client.put: an answer that comes before the body is taken is the outcome, without a hang", "[http][client]") {
  std::string url;
  const ScriptedServer server(
      [&](const ScriptedRequest& request) {
        if (asks_for_map(request)) return reply("200 OK", boost::json::serialize(placement::map_to_json(map_of({url}))));
        auto answer = reply("507 Insufficient Storage", "<Error><Code>InsufficientStorage</Code><Message>full</Message></Error>");
        answer.close = true;
        return answer;
      },
      true);
  url = server.url();
  Client client(endpoint_of({url}), {std::chrono::milliseconds(5000)});
  const std::string large(64 << 20, 'x');  // more than the sockets hold
  SpanBody body(bytes_of(large));
  const auto info = client.put({"raw", "a"}, body);
  REQUIRE(!info);
  CHECK((info.error().code == ErrorCode::no_space || info.error().code == ErrorCode::io));  // a reset may overtake the answer
}

TEST_CASE("Client: requests go straight to the owner", "[http][client]") {
  std::vector<std::string> urls;
  const auto script = [&](const ScriptedRequest& request) {
    if (asks_for_map(request)) return reply("200 OK", boost::json::serialize(placement::map_to_json(map_of(urls))));
    return reply("200 OK", "x");
  };
  const ScriptedServer first(script);
  const ScriptedServer second(script);
  urls = {first.url(), second.url()};
  Client client(endpoint_of(urls));
  const placement::Placement placement(map_of(urls));
  std::set<std::string> expected[2];
  for (int i = 0; i < 40; ++i) {
    const std::string key = "key-" + std::to_string(i);
    Collected got;
    REQUIRE(client.get({"raw", key}, got.sink));
    expected[placement.home_disk("raw", key)].insert("GET /raw/" + key + " HTTP/1.1");
  }
  for (int rank = 0; rank < 2; ++rank) {
    std::set<std::string> seen;
    for (const auto& request : (rank == 0 ? first : second).requests())
      if (!asks_for_map(request)) seen.insert(request.line());
    CHECK(seen == expected[rank]);
    CHECK(seen.size() > 5);
  }
}

TEST_CASE("Client: a redirect is followed, with the body again and the token for ranks only", "[http][client]") {
  std::vector<std::string> urls;
  const ScriptedServer stranger([](const ScriptedRequest&) { return reply("200 OK", "", etag_of("body")); });
  const OneRankStore store(
      [&](const ScriptedRequest&) { return reply("307 Temporary Redirect", "", "Location: " + stranger.url() + "/raw/a?grant=1\r\n"); });
  Client client(store.client());
  SpanBody body(bytes_of("body"));
  REQUIRE(client.put({"raw", "a"}, body));
  const auto request = stranger.requests().at(0);
  CHECK(request.line() == "PUT /raw/a?grant=1 HTTP/1.1");
  CHECK(request.body == "body");
  CHECK(request.head.find("Authorization") == std::string::npos);
}

TEST_CASE("Client: redirects in a circle end", "[http][client]") {
  std::string url;
  const OneRankStore store([&](const ScriptedRequest&) { return reply("307 Temporary Redirect", "", "Location: " + url + "/raw/a\r\n"); });
  url = store.server().url();
  Client client(store.client());
  Collected got;
  const auto info = client.get({"raw", "a"}, got.sink);
  REQUIRE(!info);
  CHECK_THAT(info.error().message, Catch::Contains("circle"));
}

TEST_CASE("Client: a connection that the server closed while idle is replaced in silence", "[http][client]") {
  const OneRankStore store([](const ScriptedRequest&) {
    auto answer = reply("200 OK", "hello");
    answer.close = true;  // although the answer did not say so
    return answer;
  });
  Client client(store.client());
  for (int i = 0; i < 3; ++i) {
    Collected got;
    REQUIRE(client.get({"raw", "a"}, got.sink));
    CHECK(got.text == "hello");
  }
}

TEST_CASE("Client: an owner that cannot be reached is asked through another rank", "[http][client]") {
  std::string gone;
  {
    const ScriptedServer dead([](const ScriptedRequest&) { return ScriptedReply{}; });
    gone = dead.url();
  }
  std::vector<std::string> urls;
  const ScriptedServer alive([&](const ScriptedRequest& request) {
    if (asks_for_map(request)) return reply("200 OK", boost::json::serialize(placement::map_to_json(map_of(urls))));
    return reply("200 OK", "x");
  });
  urls = {gone, alive.url()};
  Client client(endpoint_of(urls));
  for (int i = 0; i < 10; ++i) {
    Collected got;
    REQUIRE(client.get({"raw", "key-" + std::to_string(i)}, got.sink));
  }
  SECTION("nobody is there") {
    Client lonely(endpoint_of({gone}));
    const auto info = lonely.head({"raw", "a"});
    REQUIRE(!info);
    CHECK(info.error().code == ErrorCode::rank_lost);
    CHECK_THAT(info.error().message, Catch::Contains("is the store still running") && Catch::Contains("endpoint.json"));
  }
}

TEST_CASE("Client: a server that says nothing runs into the time limit", "[http][client]") {
  const ScriptedServer server([](const ScriptedRequest&) { return ScriptedReply{"", false}; });
  Client client(endpoint_of({server.url()}), {std::chrono::milliseconds(200)});
  const auto info = client.head({"raw", "a"});
  REQUIRE(!info);
  CHECK(info.error().code == ErrorCode::timeout);
}

TEST_CASE("Client.start_sort: plain, quoted and wrapped ids", "[http][client]") {
  const std::string answer = GENERATE("srt-1", "\"srt-1\"", "{\"id\": \"srt-1\"}\n");
  const OneRankStore store([=](const ScriptedRequest&) { return reply("200 OK", answer); });
  Client client(store.client());
  const auto id = client.start_sort(base::JsonObject{{"a", 1}});
  REQUIRE(id);
  CHECK(*id == "srt-1");
  CHECK(store.server().requests().back().body == "{\"a\":1}");
}

TEST_CASE("read_endpoint_file: a good one, and what can be wrong with one", "[http][client]") {
  const tests::TemporaryDirectory directory;
  const std::string path = directory.file("endpoint.json");
  const auto write = [&](const std::string& text) { std::ofstream(path) << text; };
  CHECK(read_endpoint_file(path).error().code == ErrorCode::not_found);
  CHECK_THAT(read_endpoint_file(path).error().message, Catch::Contains("tarn serve") && Catch::Contains("--endpoint-file"));
  write(R"({"store": "s", "endpoints": ["http://127.0.0.1:1", "", "http://[::1]:2"], "token": "t", "map_epoch": 1})");
  const auto endpoint = read_endpoint_file(path);
  REQUIRE(endpoint);
  CHECK(endpoint->urls == std::vector<std::string>{"http://127.0.0.1:1", "http://[::1]:2"});
  CHECK(endpoint->token == "t");
  for (const char* text :
       {"", "{", "[]", "{}", R"({"endpoints": []})", R"({"endpoints": [1]})", R"({"endpoints": ["ftp://x"]})", R"({"endpoints": ["x y"]})"}) {
    INFO(text);
    write(text);
    CHECK(read_endpoint_file(path).error().code == ErrorCode::invalid);
  }
}

TEST_CASE("split_url: hosts, ports, queries", "[http][client]") {
  const auto url = split_url("http://[::1]:8080/raw/a%20b?x=%2F");
  REQUIRE(url);
  CHECK(url->authority == Authority{"::1", 8080});
  CHECK(url->authority.text() == "[::1]:8080");
  CHECK(url->target == "/raw/a%20b?x=%2F");
  CHECK(split_url("http://nid001")->target == "/");
  CHECK(split_url("http://nid001")->authority.port == 80);
  CHECK(split_url("https://nid001/").error().code == ErrorCode::unsupported);
  for (const char* text : {"", "/raw/a", "nid001:80", "http://", "http:///x", "http://a:99999/", "http://a:0/"}) {
    INFO(text);
    const auto bad = split_url(text);
    REQUIRE(!bad);
    CHECK(bad.error().code == ErrorCode::invalid);
  }
}

TEST_CASE("FileBody: a file that shrinks while it is read is an error", "[http][client]") {
  const tests::TemporaryDirectory directory;
  const std::string path = directory.file("data");
  std::ofstream(path) << "0123456789";
  auto body = FileBody::open(path);
  REQUIRE(body);
  CHECK(body->size() == 10U);
  REQUIRE(::truncate(path.c_str(), 4) == 0);
  std::array<std::byte, 64> buffer{};
  CHECK(body->read(buffer).error().code == ErrorCode::corrupt);
  CHECK(FileBody::open(directory.path()).error().code == ErrorCode::invalid);
  CHECK(FileBody::open(directory.file("missing")).error().code == ErrorCode::not_found);
}
