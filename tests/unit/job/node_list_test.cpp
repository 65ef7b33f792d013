// node_list_test.cpp - Slurm's compressed lists.
#include "job/node_list.hpp"

#include <string>
#include <vector>

#include <catch2/catch.hpp>

using namespace tarn;
using namespace tarn::job;
using Names = std::vector<std::string>;

TEST_CASE("expand_node_list: ranges, zeros, several brackets, plain names", "[job]") {
  CHECK(*expand_node_list("") == Names{});
  CHECK(*expand_node_list("gpu1") == Names{"gpu1"});
  CHECK(*expand_node_list("nid[001-003,7],gpu1") == Names{"nid001", "nid002", "nid003", "nid7", "gpu1"});
  CHECK(*expand_node_list("n[8-11]") == Names{"n8", "n9", "n10", "n11"});
  CHECK(*expand_node_list("n[098-101]-ib") == Names{"n098-ib", "n099-ib", "n100-ib", "n101-ib"});
  CHECK(*expand_node_list("r[0-1]n[1-2]") == Names{"r0n1", "r0n2", "r1n1", "r1n2"});
  CHECK(expand_node_list("nid[000001-100000]")->size() == 100'000);
}

TEST_CASE("expand_node_list: malformed lists are refused", "[job]") {
  for (const char* list :
       {"a[1-2", "a1-2]", "a[[1]]", "a[]", "a[2-1]", "a[x]", "a,,b", ",", "a[1-]", "a[1,]", "a[1-99999999999]", "a[0-99999]b[0-9]"}) {
    INFO(list);
    const auto names = expand_node_list(list);
    REQUIRE(!names);
    CHECK(names.error().code == ErrorCode::invalid);
  }
}

TEST_CASE("expand_task_counts: repeats", "[job]") {
  CHECK(*expand_task_counts("2(x3),1") == std::vector<unsigned>{2, 2, 2, 1});
  CHECK(*expand_task_counts("16") == std::vector<unsigned>{16});
  CHECK(expand_task_counts("")->empty());
  for (const char* counts : {"x", "2(x", "2(x)", "2(3)", "2,", "2(x4000000000)"}) {
    INFO(counts);
    CHECK(!expand_task_counts(counts));
  }
}
