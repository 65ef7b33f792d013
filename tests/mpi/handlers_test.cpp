// handlers_test.cpp - the handlers of one rank, asked by itself: what other ranks get when the store changes between two steps of an answer.
#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/file.hpp"
#include "mpi/caller.hpp"
#include "mpi/comm.hpp"
#include "mpi/engine.hpp"
#include "mpi/mpi_test.hpp"
#include "mpi/object_handlers.hpp"
#include "mpi/peer_client.hpp"
#include "mpi/peer_service.hpp"
#include "object/local_store.hpp"
#include "support/forwarding_file_system.hpp"

using namespace tarn;
using namespace tarn::tests;

namespace {

/// The real file system; calls `before_read` once before a volume is opened for reading.
class InterruptedFileSystem final : public ForwardingFileSystem {
 public:
  std::function<void()> before_read;

  Result<std::unique_ptr<base::File>> open(const std::string& path, base::OpenMode mode, mode_t permissions) override {
    if (mode == base::OpenMode::read && before_read && path.find("/volumes/") != std::string::npos) std::exchange(before_read, nullptr)();
    return ForwardingFileSystem::open(path, mode, permissions);
  }
};

/// A rank that is its own and only peer.
class LonelyRank final : private mpi::Listener {
 public:
  explicit LonelyRank(object::LocalStore& store)
      : comm_(mpi::Comm::duplicate(MPI_COMM_SELF).value()),
        engine_({false, std::chrono::microseconds(1000)}),
        caller_(engine_, comm_.get(), std::chrono::seconds(30)),
        service_(engine_, comm_.get(), 1, data_, control_),
        handlers_(store, data_, std::chrono::seconds(30)),
        client_(caller_) {
    handlers_.add_to(service_);
    engine_.listen(comm_.get(), *this);
    REQUIRE(failure(data_.start(1)) == "");
    REQUIRE(failure(engine_.start()) == "");
  }
  ~LonelyRank() override {
    while (!caller_.idle() || engine_.outstanding() > 0) engine_.drive();
    data_.stop();
    handlers_.close();
    engine_.stop();
  }
  [[nodiscard]] mpi::PeerClient& client() noexcept { return client_; }

 private:
  void on_message(MPI_Message message, int source, int tag, std::size_t size_bytes) override {
    if (tag == mpi::kRequestTag) return service_.on_request(message, source, size_bytes);
    if (tag == mpi::kReplyTag) return caller_.on_reply(message, source, size_bytes);
    caller_.on_data(message, source, static_cast<std::size_t>(tag - mpi::kDataTag), size_bytes);
  }
  void on_tick(mpi::Clock::time_point /*now*/) override {}

  mpi::Comm comm_;
  mpi::Engine engine_;
  mpi::WorkerPool data_, control_;
  mpi::Caller caller_;
  mpi::PeerService service_;
  mpi::ObjectHandlers handlers_;
  mpi::PeerClient client_;
};

}  // namespace

TEST_CASE("Handlers: an object that is overwritten while it is opened for a peer is there, in its new version", "[service]") {
  SharedDirectory directory;
  InterruptedFileSystem fs;
  object::LocalStoreOptions options;
  options.directories = {directory.path() + "/disk-" + std::to_string(world_rank())};
  auto opened = object::LocalStore::open(options, fs);
  REQUIRE(failure(opened) == "");
  const auto store = std::move(*opened);
  REQUIRE(failure(store->create_bucket("bucket", 1)) == "");
  const ObjectName name{"bucket", "key"};
  REQUIRE(failure(store->put(0, name, test_bytes(2'000'000, 1), {})) == "");
  {
    const mpi::ApplicationCall call;
    LonelyRank rank(*store);
    fs.before_read = [&] {
      (void)store->put(0, name, test_bytes(2'000'000, 2), {});
      (void)store->list("bucket", {});  // commits, and so removes the old version's volume
    };
    const auto bytes = rank.client().get({0, 0}, name);
    CHECK(failure(bytes) == "");
    if (bytes) CHECK((*bytes == test_bytes(2'000'000, 2)));
    CHECK(code_of(rank.client().get({0, 0}, {"bucket", "other"})) == "not_found");
  }
  REQUIRE(failure(store->close()) == "");
}
