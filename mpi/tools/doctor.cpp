// doctor.cpp - `tarn doctor`: can this machine run Tarn, and what to do if not.
// Level 7 (tools). Alone, or collectively under mpirun: then once for each node.
#include <mpi.h>

#include <iostream>
#include <map>

#include "base/codec.hpp"
#include "base/error.hpp"
#include "base/json.hpp"
#include "mpi/tools/command_line.hpp"
#include "mpi/tools/commands.hpp"
#include "mpi/tools/doctor_checks.hpp"
#include "mpi/tools/job.hpp"

namespace tarn::tools {

namespace {

/// What one rank found, and where.
struct NodeReport {
  std::string host;
  int rank = 0;
  Findings findings;
};

std::string host_name() {
  char name[MPI_MAX_PROCESSOR_NAME];
  int length = 0;
  MPI_Get_processor_name(name, &length);
  return {name, static_cast<std::size_t>(length)};
}

Finding check_mpi(const MpiScope& mpi) {
  char version[MPI_MAX_LIBRARY_VERSION_STRING];
  int length = 0;
  MPI_Get_library_version(version, &length);
  std::string text(version, static_cast<std::size_t>(length));
  text.resize(std::min(text.find_first_of(",\n"), text.size()));
  if (mpi.thread_level() >= MPI_THREAD_MULTIPLE) return {Verdict::ok, "MPI", text + ", MPI_THREAD_MULTIPLE", ""};
  return {Verdict::fail, "MPI", text + ", without MPI_THREAD_MULTIPLE", "`tarn serve` needs an MPI that offers it; Debian's libopenmpi-dev does"};
}

int ranks_on_this_node() {
  MPI_Comm node = MPI_COMM_NULL;
  MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, 0, MPI_INFO_NULL, &node);
  int size = 1;
  MPI_Comm_size(node, &size);
  MPI_Comm_free(&node);
  return size;
}

Findings examine(const MpiScope& mpi, DoctorQuestion question) {
  const auto env = job::read_job_env(job::current_environment());
  question.local_ranks = ranks_on_this_node();
  Findings all{check_mpi(mpi)};
  const auto add = [&](Findings more) { all.insert(all.end(), std::make_move_iterator(more.begin()), std::make_move_iterator(more.end())); };
  add(check_job(env, mpi.size()));
  add(check_directories(question));
  add(check_port(question));
  add(check_limits(question));
  add(check_memory(question));
  add(check_processors(question));
  return all;
}

std::vector<std::byte> encode(const NodeReport& report) {
  base::Encoder encoder;
  encoder.text(report.host).u32(static_cast<std::uint32_t>(report.rank)).u32(static_cast<std::uint32_t>(report.findings.size()));
  for (const Finding& finding : report.findings)
    encoder.u8(static_cast<std::uint8_t>(finding.verdict)).text(finding.topic).text(finding.detail).text(finding.remedy);
  return std::move(encoder).take();
}

NodeReport decode(std::span<const std::byte> bytes) {
  base::Decoder decoder(bytes);
  NodeReport report;
  report.host = decoder.text();
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
std::vector<NodeReport> gather(const MpiScope& mpi, const NodeReport& mine) {
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
  std::vector<NodeReport> reports;
  if (mpi.rank() != 0) return reports;
  for (std::size_t i = 0; i < sizes.size(); ++i)
    reports.push_back(decode(std::span(all).subspan(static_cast<std::size_t>(offsets[i]), static_cast<std::size_t>(sizes[i]))));
  return reports;
}

/// Once for each node, by its first rank; of the others only what is worse.
Verdict print_reports(const std::vector<NodeReport>& reports, bool json) {
  Verdict worst = Verdict::ok;
  std::map<std::string, int> nodes;
  base::JsonArray lines;
  for (const NodeReport& report : reports) {
    const bool first = nodes.emplace(report.host, report.rank).second;
    if (first && !json) std::cout << "node " << report.host << ":\n";
    for (const Finding& finding : report.findings) {
      worst = std::max(worst, finding.verdict);
      if (!first && finding.verdict == Verdict::ok) continue;
      if (json) {
        lines.push_back(base::JsonObject{{"node", report.host},
                                         {"rank", report.rank},
                                         {"verdict", to_string(finding.verdict)},
                                         {"topic", finding.topic},
                                         {"detail", finding.detail},
                                         {"remedy", finding.remedy}});
        continue;
      }
      std::cout << "  " << to_string(finding.verdict) << std::string(6 - to_string(finding.verdict).size(), ' ') << finding.topic << ": "
                << (first ? "" : "rank " + std::to_string(report.rank) + ": ") << finding.detail << "\n";
      if (!finding.remedy.empty()) std::cout << "        -> " << finding.remedy << "\n";
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
  bool json = false;
  CommandLine line(
      "doctor [--dir DIR]... [--bind ADDR] [--port N]",
      "Says whether this machine can run Tarn: MPI and its launcher, scratch directories and their file systems, ports, limits, memory.\n"
      "Each line is OK, WARN or FAIL, with the remedy. Under mpirun or srun every node is looked at. Exit code 69 after a FAIL.",
      "tarn doctor\n"
      "mpirun -n 4 tarn doctor --dir /scratch/tarn-{rank} --bind hsn0");
  line.options().add_options()("dir", po::value(&question.directories)->value_name("DIR")->composing(), "a directory that `tarn serve` would get")(
      "bind", po::value(&question.bind)->value_name("ADDR"), "address or interface to listen at (default 127.0.0.1)")(
      "port", po::value(&port)->value_name("N"), "port to listen at; 0: any")("json", po::bool_switch(&json), "findings as a JSON array");
  TARN_TRY(const bool go_on, line.parse(arguments, 0, 0));
  if (!go_on) return 0;
  if (port > 65535) return fail(ErrorCode::invalid, "--port " + std::to_string(port) + ": a port is at most 65535");
  question.port = static_cast<std::uint16_t>(port);
  const MpiScope mpi;
  const auto reports = gather(mpi, {host_name(), mpi.rank(), examine(mpi, question)});
  int worst = mpi.rank() == 0 ? static_cast<int>(print_reports(reports, json)) : 0;
  std::cout.flush();  // before any rank ends with an error, and mpirun kills the others
  MPI_Bcast(&worst, 1, MPI_INT, 0, MPI_COMM_WORLD);
  if (worst == static_cast<int>(Verdict::fail)) return fail(ErrorCode::rank_lost, "");
  return 0;
}

}  // namespace tarn::tools
