// dsort_outputs.hpp - objects of one rank that wait for their names.
// Level 6 (mpi).
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include <tarn/object.hpp>

#include "object/kept_bodies.hpp"

namespace tarn::mpi {

struct Output {
  std::uint32_t disk = 0;
  std::string key;
  std::unique_ptr<object::KeepingWriter> writer;  ///< null: it has its name already
  object::BodyId id{};
  Checksum checksum{};
};

}  // namespace tarn::mpi
