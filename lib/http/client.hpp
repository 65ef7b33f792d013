// client.hpp - a store from outside of its job: what the command line (and any program) uses.
// Level 5 (http). Resource type; any thread may call anything; calls block.
//
// The client reads the store's map once, computes each object's owner as the ranks do and talks to that rank directly:
// no redirect, no proxy. If the owner cannot be reached from here, any other rank is asked, and redirects are followed.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <tarn/object.hpp>
#include <tarn/result.hpp>
#include <tarn/store.hpp>

#include "base/json.hpp"
#include "http/client_body.hpp"
#include "http/client_endpoint.hpp"
#include "placement/store_map.hpp"

namespace tarn::http {

struct ClientOptions {
  std::chrono::milliseconds timeout{60'000};  ///< for each step: connect, a piece sent or received, an answer's head
};

struct ClientListing {
  ListPage page;
  std::string continuation;  ///< hand it back for the next page; empty: this was the last
};

class Client {
 public:
  /// Does not talk to the store yet.
  explicit Client(Endpoint endpoint, const ClientOptions& options = {});
  ~Client();
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  // Every call: @errors rank_lost (no rank can be reached), timeout, denied (token), busy, io, and what the store answers.

  /// Sends an object and compares the checksum of what was sent with that of what was stored.
  [[nodiscard]] Result<ObjectInfo> put(const ObjectName& name, BodySource& body, const PutOptions& options = {});
  /// Receives an object. Without a range its checksum is verified: `corrupt` comes after the last byte, so a sink that writes
  /// to a file names it only then. @errors not_found, bucket_not_found, out_of_range, corrupt, those of the sink.
  [[nodiscard]] Result<ObjectInfo> get(const ObjectName& name, const BodySink& sink, const std::optional<ByteRange>& range = std::nullopt);
  [[nodiscard]] Result<ObjectInfo> head(const ObjectName& name);
  [[nodiscard]] Result<void> remove(const ObjectName& name);
  /// One page. @param continuation  of the page before; empty: the first.
  [[nodiscard]] Result<ClientListing> list(std::string_view bucket, const ListOptions& options, std::string_view continuation = {});

  [[nodiscard]] Result<std::vector<BucketInfo>> buckets();
  [[nodiscard]] Result<void> create_bucket(std::string_view bucket, const BucketOptions& options = {});
  [[nodiscard]] Result<void> remove_bucket(std::string_view bucket);

  /// @return the job's id. The spec is that of POST /v1/sort (docs/DSORT.md).
  [[nodiscard]] Result<std::string> start_sort(const base::Json& spec);
  /// @return the job's id; status and abort as those of a sort.
  [[nodiscard]] Result<std::string> start_rebalance(const RebalanceOptions& options);
  [[nodiscard]] Result<base::Json> sort_status(std::string_view id);
  [[nodiscard]] Result<void> abort_sort(std::string_view id);

  [[nodiscard]] Result<std::shared_ptr<const placement::StoreMap>> map();
  /// Counters of all ranks.
  [[nodiscard]] Result<StoreStats> stats();
  /// A text of one rank, as "/-/health" or "/-/metrics"; `url` is one of the map's. A status that is not 200 is an error.
  [[nodiscard]] Result<std::string> fetch_text(const std::string& url, std::string_view path);

  [[nodiscard]] const Endpoint& endpoint() const noexcept;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace tarn::http
