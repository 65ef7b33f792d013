#include "mpi/shared_changes.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cstdint>
#include <new>
#include <string>
#include <string_view>
#include <utility>

#include "base/codec.hpp"
#include "base/error.hpp"
#include "base/uuid.hpp"
#include "mpi/wire.hpp"

namespace tarn::mpi {

namespace {

constexpr const char* kFileName = "tarn-changes";

/// Another process may have that number here, and a device under that descriptor: not to be opened.
bool is_counter_file(const std::string& path) {
  std::array<char, 64> target{};
  const auto size = ::readlink(path.c_str(), target.data(), target.size());
  return size > 0 && std::string_view(target.data(), static_cast<std::size_t>(size)).starts_with(std::string("/memfd:") + kFileName);
}

}  // namespace

/// The file's bytes.
struct SharedChanges::Page {
  std::array<char, 32> cookie{};  // whoever opens it knows by this that it is the file that was meant
  alignas(64) volume::ChangeCounter counter;
};

SharedChanges::SharedChanges() = default;
SharedChanges::~SharedChanges() = default;

void SharedChanges::Unmap::operator()(Page* page) const noexcept {
  ::munmap(page, sizeof(Page));
}

SharedChanges::Mapped SharedChanges::map(int fd, bool writable) noexcept {
  struct stat status {};
  if (::fstat(fd, &status) != 0 || status.st_size != sizeof(Page)) return nullptr;
  void* const address = ::mmap(nullptr, sizeof(Page), writable ? PROT_READ | PROT_WRITE : PROT_READ, MAP_SHARED, fd, 0);
  return Mapped(address == MAP_FAILED ? nullptr : static_cast<Page*>(address));
}

Result<void> SharedChanges::open(Collectives& collectives, const std::vector<placement::Rank>& ranks) {
  const std::string cookie = base::random_hex(16);
  file_ = base::UniqueFd(::memfd_create(kFileName, MFD_CLOEXEC));
  if (file_ && ::ftruncate(file_.get(), sizeof(Page)) == 0) own_ = map(file_.get(), true);
  if (own_) {
    new (own_.get()) Page;
    cookie.copy(own_->cookie.data(), own_->cookie.size());
  } else {
    alone_ = std::make_unique<Page>();
  }
  base::Encoder mine;
  mine.text(own_ ? cookie : std::string()).u32(static_cast<std::uint32_t>(::getpid())).u32(static_cast<std::uint32_t>(file_.get()));
  TARN_TRY(const auto all, collectives.all_gather(mine.bytes()));

  const auto self = static_cast<std::size_t>(collectives.rank());
  of_ranks_.resize(all.size());
  for (std::size_t r = 0; r < all.size(); ++r) {
    base::Decoder decoder(all[r]);
    const std::string theirs(decoder.text());
    const auto pid = decoder.u32();
    const auto fd = decoder.u32();
    if (!decoder.complete()) return fail(malformed("a rank's counter of changes"));
    if (r == self || theirs.empty() || ranks[r].node != ranks[self].node) continue;
    const std::string path = "/proc/" + std::to_string(pid) + "/fd/" + std::to_string(fd);
    if (!is_counter_file(path)) continue;
    const base::UniqueFd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    auto mapped = file ? map(file.get(), false) : nullptr;
    if (mapped && std::string_view(mapped->cookie.data(), mapped->cookie.size()) == theirs) of_ranks_[r] = std::move(mapped);
  }
  return collectives.barrier();  // all have opened what may be closed from now on
}

volume::ChangeCounter& SharedChanges::own() noexcept {
  return (own_ ? own_.get() : alone_.get())->counter;
}

const volume::ChangeCounter* SharedChanges::of(RankId rank) const noexcept {
  const auto r = static_cast<std::size_t>(rank);
  return r < of_ranks_.size() && of_ranks_[r] ? &of_ranks_[r]->counter : nullptr;
}

}  // namespace tarn::mpi
