// dsort.cpp - `tarn dsort`: asks a running store to sort, or (inside mpirun, with --dir) opens one and sorts in it.
// Level 7 (tools).
#include "mpi/tools/dsort_request.hpp"

#include <iostream>

#include "base/error.hpp"
#include "base/text.hpp"
#include "mpi/tools/commands.hpp"
#include "mpi/tools/job.hpp"
#include "mpi/tools/progress.hpp"
#include "mpi/tools/remote.hpp"
#include "mpi/tools/remote_job.hpp"
#include "plan/dsort_spec.hpp"

namespace tarn::tools {

namespace {

void print_report(const base::Json& report, const DsortRequest& request) {
  if (request.json) {
    std::cout << base::pretty_json(report);
    return;
  }
  const auto number = [&](const char* name) { return base::json_u64(report, name).value_or(0); };
  const auto seconds = [&](const char* name) {
    const base::Json* value = report.is_object() ? report.get_object().if_contains(name) : nullptr;
    boost::json::error_code ignored;
    return value == nullptr ? 0 : value->to_number<double>(ignored);
  };
  const double elapsed = seconds("seconds");
  std::cout << (request.spec.dry_run ? "dsort plan: " : "dsort: ") << number("samples") << " samples of " << number("input_objects")
            << " objects into " << number("shards") << " shards, " << base::format_size(number("output_bytes"));
  if (request.spec.dry_run)
    std::cout << "; nothing was written, all of it would take about " << format_duration(seconds("estimated_seconds")) << "\n";
  else
    std::cout << " in " << format_duration(elapsed) << " (" << format_rate(number("output_bytes"), elapsed) << ")\n";
  if (const auto resumed = number("resumed_shards"); resumed != 0)
    std::cout << "dsort: " << resumed << " of the shards had been finished by an earlier run and were not made again\n";
  if (const auto* fields = report.if_object(); fields != nullptr && fields->contains("warnings") && fields->at("warnings").is_array())
    for (const base::Json& warning : fields->at("warnings").get_array())
      if (warning.is_string()) std::cerr << "tarn dsort: warning: " + std::string(warning.get_string()) + "\n";
}

Result<int> sort_remotely(const DsortRequest& request) {
  TARN_TRY(const auto client, connect(request.endpoint_file));
  TARN_TRY(const std::string id, client->start_sort(plan::dsort_spec_to_json(request.spec)));
  TARN_TRY(const base::Json report, wait_for_job(*client, "dsort", id));
  print_report(report, request);
  return 0;
}

Result<int> sort_in_job(const DsortRequest& request) {
  StoreOptions options;
  options.directories = request.directories;
  return run_in_job("dsort", options, [&](Store& store, const Crew& crew) -> Result<int> {
    std::optional<Progress> progress;
    if (crew.first) progress.emplace("dsort", 0, Progress::Unit::steps);
    auto report = store.dsort(request.spec, [&](const DsortProgress& now) {
      if (progress) progress->set("dsort " + std::string(now.phase), now.done, now.total, Progress::unit_of_phase(now.phase));
    });
    progress.reset();
    if (!report) return fail(std::move(report).error());
    if (crew.first) print_report(plan::dsort_report_to_json(*report), request);
    return 0;
  });
}

}  // namespace

Result<int> run_dsort(const Arguments& arguments) {
  auto parsed = parse_dsort_request(arguments);
  if (!parsed) return refuse_in_job(std::move(parsed).error());
  const auto& request = *parsed;
  if (!request) return 0;
  return request->directories.empty() ? sort_remotely(*request) : sort_in_job(*request);
}

}  // namespace tarn::tools
