// sidecar_server - sidecars over LocalStores without MPI, for the end-to-end tests and the benchmark.
//
//   sidecar_server --dir D [--dir D2 ...] [--threads N] [--token T] [--redirect auto|always|never] [--same-node]
//                  [--disagree] [--delay-ms N] [--not-ready] [--verify-sendfile never|first|always]
// One rank per --dir. Prints one JSON line {"urls":[...]} when it serves; ends on SIGTERM or SIGINT.
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "base/json.hpp"
#include "http/sidecar.hpp"
#include "support/local_service.hpp"

namespace {

using namespace tarn;

struct Arguments {
  tests::ClusterOptions cluster;
  SidecarOptions sidecar;
  std::string token;
  bool ready = true;
};

Arguments parse(int argc, char** argv) {
  Arguments arguments;
  for (int i = 1; i < argc; ++i) {
    const std::string name = argv[i];
    const auto value = [&]() -> std::string { return i + 1 < argc ? argv[++i] : ""; };
    if (name == "--dir") {
      arguments.cluster.directories.push_back(value());
    } else if (name == "--threads") {
      arguments.sidecar.threads = static_cast<unsigned>(std::stoul(value()));
    } else if (name == "--token") {
      arguments.token = value();
    } else if (name == "--redirect") {
      const std::string policy = value();
      arguments.sidecar.redirect = policy == "always"  ? RedirectPolicy::always
                                   : policy == "never" ? RedirectPolicy::never
                                                       : RedirectPolicy::automatic;
    } else if (name == "--verify-sendfile") {
      const std::string policy = value();
      arguments.sidecar.verify_sendfile = policy == "always"  ? VerifySendfile::always
                                          : policy == "never" ? VerifySendfile::never
                                                              : VerifySendfile::first;
    } else if (name == "--same-node") {
      arguments.cluster.same_node = true;
    } else if (name == "--disagree") {
      arguments.cluster.disagree = true;
    } else if (name == "--delay-ms") {
      arguments.cluster.delay = std::chrono::milliseconds(std::stoul(value()));
    } else if (name == "--not-ready") {
      arguments.ready = false;
    } else {
      std::fprintf(stderr, "unknown option %s\n", name.c_str());
      std::exit(2);
    }
  }
  arguments.sidecar.anonymous = arguments.token.empty();
  return arguments;
}

Result<void> serve(const Arguments& arguments, const sigset_t& signals) {
  auto cluster = tests::LocalCluster::open(arguments.cluster);
  if (!cluster) return fail(cluster.error());
  std::vector<std::unique_ptr<http::Sidecar>> sidecars;
  std::vector<std::string> urls;
  for (int rank = 0; rank < (*cluster)->size(); ++rank) {
    auto sidecar = http::Sidecar::bind(arguments.sidecar, rank);
    if (!sidecar) return fail(sidecar.error());
    urls.push_back((*sidecar)->url());
    sidecars.push_back(std::move(*sidecar));
  }
  (*cluster)->set_urls(urls);
  for (int rank = 0; rank < (*cluster)->size(); ++rank) {
    auto& sidecar = *sidecars[static_cast<std::size_t>(rank)];
    if (auto started = sidecar.start((*cluster)->service(rank), {arguments.token, "test secret", "/tmp/endpoint.json"}); !started) return started;
    sidecar.set_ready(arguments.ready);
  }
  base::JsonArray list(urls.begin(), urls.end());
  std::printf("%s\n", boost::json::serialize(base::JsonObject{{"urls", list}}).c_str());
  std::fflush(stdout);
  int signal = 0;
  sigwait(&signals, &signal);
  for (auto& sidecar : sidecars) sidecar->stop();
  return {};
}

}  // namespace

int main(int argc, char** argv) {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  const auto served = serve(parse(argc, argv), signals);
  if (served) return 0;
  std::fprintf(stderr, "sidecar_server: %s\n", served.error().message.c_str());
  return 1;
}
