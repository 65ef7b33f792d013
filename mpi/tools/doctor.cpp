// doctor.cpp - `tarn doctor`: can this machine run Tarn, and what to do if not.
// Level 7 (tools). Alone, or collectively under mpirun: then once for each node.
#include <mpi.h>

#include <iostream>
#include <map>

#include "base/codec.hpp"
#include "base/error.hpp"
#include "base/host.hpp"
#include "base/json.hpp"
#include "mpi/tools/command_line.hpp"
#include "mpi/tools/commands.hpp"
#include "mpi/tools/doctor_checks.hpp"
#include "mpi/tools/job.hpp"

namespace tarn::tools {

namespace {

/// What one rank found, and where.
struct RankReport {
  std::string node;
  int leader = 0;  ///< lowest rank of its node
  int rank = 0;
  Findings findings;
};

/// As the store sees it: the ranks that share memory.
struct Node {
  int leader = 0;
  int ranks = 1;
};

Finding check_mpi(const MpiScope& mpi) {
  char version[MPI_MAX_LIBRARY_VERSION_STRING];
  int length = 0;
  MPI_Get_library_version(version, &length);
  std::string text(version, static_cast<std::size_t>(length));
  text.resize(std::min(text.find_first_of(",\n"), text.size()));
  if (mpi.thread_level() >= MPI_THREAD_MULTIPLE) return {Verdict::ok, "MPI", text + ", MPI_THREAD_MULTIPLE", ""};
  return {Verdict::fail, "MPI", text + ", without MPI_THREAD_MULTIPLE", "`tarn serve` needs an MPI that offers it; Debian's libopenmpi-dev does"};
}

/// Collective.
Node this_node(const MpiScope& mpi, bool node_id_from_rank) {
  Node here{mpi.rank(), 1};
  MPI_Comm node = MPI_COMM_NULL;
  MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, mpi.rank(), MPI_INFO_NULL, &node);
  if (!node_id_from_rank) {
    MPI_Comm_size(node, &here.ranks);
    MPI_Allreduce(MPI_IN_PLACE, &here.leader, 1, MPI_INT, MPI_MIN, node);
  }
  MPI_Comm_free(&node);
  return here;
}

Findings examine(const MpiScope& mpi, const DoctorQuestion& question) {
  const auto env = job::read_job_env(job::current_environment());
  Findings all{check_mpi(mpi)};
  const auto add = [&](Findings more) { all.insert(all.end(), std::make_move_iterator(more.begin()), std::make_move_iterator(more.end())); };
  add(check_job(env, mpi.size()));
  if (mpi.rank() == 0) add(check_deadline(env));
  add(check_directories(question));
  add(check_port(question));
  add(check_limits(question));
  add(check_memory(question));
  add(check_processors(question));
  return all;
}

std::vector<std::byte> encode(const RankReport& report) {
  base::Encoder encoder;
  encoder.text(report.node)
      .u32(static_cast<std::uint32_t>(report.leader))
      .u32(static_cast<std::uint32_t>(report.rank))
      .u32(static_cast<std::uint32_t>(report.findings.size()));
  for (const Finding& finding : report.findings)
    encoder.u8(static_cast<std::uint8_t>(finding.verdict)).text(finding.topic).text(finding.detail).text(finding.remedy);
  return std::move(encoder).take();
}

RankReport decode(std::span<const std::byte> bytes) {
  base::Decoder decoder(bytes);
  RankReport report;
  report.node = decoder.text();
  report.leader = static_cast<int>(decoder.u32());
  report.rank = static_cast<int>(decoder.u32());
  for (std::uint32_t left = decoder.u32(); left > 0 && !decoder.failed(); --left) {
    Finding finding;
    finding.verdict = static_cast<Verdict>(decoder.u8());
    finding.topic = decoder.text();
    finding.detail = decoder.text();
    finding.remedy = decoder.text();
    report.findings.push_back(std::move(finding));
  }
  return report;
}

/// Collective. All reports, on rank 0.
std::vector<RankReport> gather(const MpiScope& mpi, const RankReport& mine) {
  const auto bytes = encode(mine);
  const int size = static_cast<int>(bytes.size());
  std::vector<int> sizes(static_cast<std::size_t>(mpi.size()));
  MPI_Gather(&size, 1, MPI_INT, sizes.data(), 1, MPI_INT, 0, MPI_COMM_WORLD);
  std::vector<int> offsets(sizes.size());
  int total = 0;
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    offsets[i] = total;
    total += sizes[i];
  }
  std::vector<std::byte> all(mpi.rank() == 0 ? static_cast<std::size_t>(total) : 0);
  MPI_Gatherv(bytes.data(), size, MPI_BYTE, all.data(), sizes.data(), offsets.data(), MPI_BYTE, 0, MPI_COMM_WORLD);
  std::vector<RankReport> reports;
  if (mpi.rank() != 0) return reports;
  for (std::size_t i = 0; i < sizes.size(); ++i)
    reports.push_back(decode(std::span(all).subspan(static_cast<std::size_t>(offsets[i]), static_cast<std::size_t>(sizes[i]))));
  return reports;
}

/// "rank 2", "ranks 0-3", "3 ranks from 0 to 6"
std::string ranks_of(const std::vector<const RankReport*>& node) {
  const int first = node.front()->rank, last = node.back()->rank;
  if (node.size() == 1) return "rank " + std::to_string(first);
  if (static_cast<std::size_t>(last - first) + 1 == node.size()) return "ranks " + std::to_string(first) + "-" + std::to_string(last);
  return std::to_string(node.size()) + " ranks from " + std::to_string(first) + " to " + std::to_string(last);
}

void print_text(const RankReport& report, const Finding& finding) {
  const std::string verdict(to_string(finding.verdict));
  std::cout << "  " << verdict << std::string(6 - verdict.size(), ' ') << finding.topic << ": "
            << (report.rank == report.leader ? "" : "rank " + std::to_string(report.rank) + ": ") << finding.detail << "\n";
  if (!finding.remedy.empty()) std::cout << "        -> " << finding.remedy << "\n";
}

base::JsonObject to_json(const RankReport& report, const Finding& finding) {
  return {{"node", report.node},    {"rank", report.rank},      {"verdict", to_string(finding.verdict)},
          {"topic", finding.topic}, {"detail", finding.detail}, {"remedy", finding.remedy}};
}

/// A block for each node: what its first rank found, of the others only what is not well.
Verdict print_reports(const std::vector<RankReport>& reports, bool json) {
  std::map<int, std::vector<const RankReport*>> nodes;  // by leader; ranks in their order
  for (const RankReport& report : reports) nodes[report.leader].push_back(&report);
  Verdict worst = Verdict::ok;
  base::JsonArray lines;
  for (const auto& [leader, node] : nodes) {
    if (!json) std::cout << "node " << node.front()->node << " (" << ranks_of(node) << "):\n";
    for (const RankReport* report : node)
      for (const Finding& finding : report->findings) {
        worst = std::max(worst, finding.verdict);
        if (report->rank != leader && finding.verdict == Verdict::ok) continue;
        if (json)
          lines.push_back(to_json(*report, finding));
        else
          print_text(*report, finding);
      }
  }
  if (json)
    std::cout << base::pretty_json(lines);
  else
    std::cout << (worst == Verdict::ok     ? "Tarn can run here.\n"
                  : worst == Verdict::warn ? "Tarn can run here; see the warnings.\n"
                                           : "Tarn cannot run here as it is.\n");
  return worst;
}

}  // namespace

Result<int> run_doctor(const Arguments& arguments) {
  DoctorQuestion question;
  unsigned port = 0;
  bool json = false, node_id_from_rank = false;
  CommandLine line(
      "doctor [--dir DIR]... [--bind ADDR] [--port N]",
      "Says whether this machine can run Tarn: MPI and its launcher, scratch directories and their file systems, ports, limits, memory.\n"
      "Each line is OK, WARN or FAIL, with the remedy. Under mpirun or srun every node is looked at, each in a block of its own. Exit code 69 after "
      "a FAIL.",
      "tarn doctor\n"
      "mpirun -n 4 tarn doctor --dir /scratch/tarn-{rank} --bind hsn0");
  line.options().add_options()("dir", po::value(&question.directories)->value_name("DIR")->composing(), "a directory that `tarn serve` would get")(
      "bind", po::value(&question.bind)->value_name("ADDR"), "address or interface to listen at (default 127.0.0.1)")(
      "port", po::value(&port)->value_name("N"), "port to listen at; 0: any")("node-id-from-rank", po::bool_switch(&node_id_from_rank),
                                                                              "every rank counts as a node of its own, as with `tarn serve`")(
      "json", po::bool_switch(&json), "findings as a JSON array");
  TARN_TRY(const bool go_on, line.parse(arguments, 0, 0));
  if (!go_on) return 0;
  if (port > 65535) return fail(ErrorCode::invalid, "--port " + std::to_string(port) + ": a port is at most 65535");
  question.port = static_cast<std::uint16_t>(port);
  const MpiScope mpi;
  const Node node = this_node(mpi, node_id_from_rank);
  question.rank = mpi.rank();
  question.node = node_id_from_rank ? "node-" + std::to_string(mpi.rank()) : base::host_name();
  question.local_ranks = node.ranks;
  const auto reports = gather(mpi, {question.node, node.leader, mpi.rank(), examine(mpi, question)});
  int worst = mpi.rank() == 0 ? static_cast<int>(print_reports(reports, json)) : 0;
  std::cout.flush();  // before any rank ends with an error, and mpirun kills the others
  MPI_Bcast(&worst, 1, MPI_INT, 0, MPI_COMM_WORLD);
  if (worst == static_cast<int>(Verdict::fail)) return fail(ErrorCode::rank_lost, "");
  return 0;
}

}  // namespace tarn::tools
