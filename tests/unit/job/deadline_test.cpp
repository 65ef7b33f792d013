// deadline_test.cpp - when the job ends: by its environment, by a scontrol of our own, by none, by one that hangs.
#include "job/deadline.hpp"

#include <sys/stat.h>

#include <ctime>
#include <fstream>
#include <string>

#include <catch2/catch.hpp>

#include "job/command.hpp"
#include "support/temporary_directory.hpp"

using namespace tarn;
using namespace tarn::job;
using namespace std::chrono_literals;

namespace {

/// The environment of a batch script of job 7 where `scontrol` is this shell script.
class Site {
 public:
  explicit Site(const std::string& scontrol) {
    const std::string path = directory_.file("scontrol");
    std::ofstream(path) << "#!/bin/sh\n" << scontrol << "\n";
    REQUIRE(::chmod(path.c_str(), 0755) == 0);
    // The command is found by the PATH of this process: it goes first there.
    before_ = ::getenv("PATH");
    ::setenv("PATH", (directory_.path() + ":" + before_).c_str(), 1);
    environment_["PATH"] = before_;
  }
  ~Site() { ::setenv("PATH", before_.c_str(), 1); }
  Site(const Site&) = delete;
  Site& operator=(const Site&) = delete;

  Result<std::optional<std::int64_t>> deadline(std::chrono::milliseconds limit = 10s) {
    environment_["SLURM_JOB_ID"] = "7";
    return job_deadline(read_job_env(environment_), environment_, limit);
  }
  Environment& environment() { return environment_; }

 private:
  tests::TemporaryDirectory directory_;
  std::string before_;
  Environment environment_;
};

}  // namespace

TEST_CASE("job_deadline: Slurm 23.02 says it in the environment, and nobody is asked", "[job][deadline]") {
  Site site("echo EndTime is not asked for; exit 1");
  site.environment()["SLURM_JOB_END_TIME"] = "1893456000";
  CHECK(*site.deadline() == 1893456000);
}

TEST_CASE("job_deadline: before, scontrol is asked, for seconds and for this job", "[job][deadline]") {
  Site site(
      "[ \"$*\" = '--oneliner show job 7' ] && [ \"$SLURM_TIME_FORMAT\" = %s ] && echo 'JobId=7 StartTime=1893452400 EndTime=1893456000 "
      "Deadline=N/A'");
  CHECK(*site.deadline() == 1893456000);
}

TEST_CASE("job_deadline: outside of a job there is none", "[job][deadline]") {
  CHECK(*job_deadline(read_job_env({}), {}) == std::nullopt);
}

TEST_CASE("job_deadline: a scontrol that hangs is not waited for", "[job][deadline]") {
  Site site("exec sleep 600");
  const auto begin = std::chrono::steady_clock::now();
  const auto deadline = site.deadline(50ms);
  REQUIRE(!deadline);
  CHECK(deadline.error().code == ErrorCode::timeout);
  CHECK(std::chrono::steady_clock::now() - begin < 30s);
}

TEST_CASE("job_deadline: a scontrol whose child keeps the output open is not waited for either", "[job][deadline]") {
  Site site("sleep 1 & echo EndTime; exit 0");
  CHECK(site.deadline(50ms).error().code == ErrorCode::timeout);
}

TEST_CASE("job_deadline: a scontrol that fails, says nothing, is not there", "[job][deadline]") {
  CHECK(Site("echo 'JobId=7 EndTime=1'; exit 1").deadline().error().code == ErrorCode::io);
  CHECK(Site("kill -9 $$").deadline().error().code == ErrorCode::io);
  CHECK(Site("true").deadline().error().code == ErrorCode::invalid);
  const auto missing = output_of({"no-such-command-of-slurm"}, {}, 1s);
  REQUIRE(!missing);
  CHECK(missing.error().code == ErrorCode::not_found);
}

TEST_CASE("output_of: much output is read to its end and cut", "[job][deadline]") {
  const auto text = output_of({"head", "-c", "3000000", "/dev/zero"}, {}, 30s);
  REQUIRE(text);
  CHECK(text->size() >= (1U << 20));
  CHECK(text->size() < 1'100'000);
}

TEST_CASE("parse_end_time: Slurm's own form is local time; unlimited jobs; the earliest of a het job's components", "[job][deadline]") {
  std::tm local{};
  local.tm_year = 126;
  local.tm_mon = 10;
  local.tm_mday = 25;
  local.tm_hour = 22;
  local.tm_isdst = -1;
  CHECK(*parse_end_time("JobId=7 StartTime=2026-11-25T21:00:00 EndTime=2026-11-25T22:00:00 Deadline=N/A\n") == std::mktime(&local));
  CHECK(*parse_end_time("JobId=7 EndTime=Unknown\n") == std::nullopt);
  CHECK(*parse_end_time("JobId=7 EndTime=200 x\nJobId=8 EndTime=100\n") == 100);
  CHECK(*parse_end_time("JobId=7 EndTime=Unknown\nJobId=8 EndTime=100\n") == 100);
  for (const char* bad :
       {"", "JobId=7", "slurm_load_jobs error: Invalid job id specified", "JobId=7 EndTime=tomorrow", "JobId=7 EndTime=", "x EndTime=12s"})
    CHECK(parse_end_time(bad).error().code == ErrorCode::invalid);
}
