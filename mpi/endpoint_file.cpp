#include "mpi/endpoint_file.hpp"

#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <exception>
#include <filesystem>
#include <span>

#include "base/codec.hpp"
#include "base/error.hpp"
#include "base/json.hpp"
#include "base/log.hpp"
#include "base/uuid.hpp"
#include "mpi/wire.hpp"

namespace tarn::mpi {

Result<Secrets> share_secrets(Collectives& collectives, bool anonymous) {
  base::Encoder encoder;
  if (collectives.rank() == 0) {
    std::string access = base::random_hex(8);
    std::transform(access.begin(), access.end(), access.begin(), [](char c) { return c >= 'a' && c <= 'f' ? static_cast<char>(c - 'a' + 'A') : c; });
    encoder.text(anonymous ? std::string() : base::random_hex(32)).text("TARN" + access).text(base::random_hex(20));
  }
  TARN_TRY(const auto bytes, collectives.broadcast(0, encoder.bytes()));
  base::Decoder decoder(bytes);
  Secrets secrets;
  secrets.token = decoder.text();
  secrets.access_key = decoder.text();
  secrets.secret_key = decoder.text();
  if (!decoder.complete()) return fail(malformed("the store's secrets"));
  return secrets;
}

namespace {

bool same_file(const base::File& file, const std::string& path) {
  struct stat open {};
  struct stat named {};
  return ::fstat(file.descriptor(), &open) == 0 && ::stat(path.c_str(), &named) == 0 && open.st_dev == named.st_dev && open.st_ino == named.st_ino;
}

/// " UUID at http://...", as far as the file says so.
std::string store_named_in(const std::string& path) {
  const auto text = base::read_text_file(base::posix_file_system(), path);
  const auto json = base::parse_json(text ? *text : std::string(), path);
  if (!json || !json->is_object()) return {};
  std::string name = " " + base::json_string(*json, "store").value_or("");
  const auto* endpoints = json->get_object().if_contains("endpoints");
  if (endpoints != nullptr && endpoints->is_array() && !endpoints->get_array().empty() && endpoints->get_array()[0].is_string())
    name.append(" at ").append(endpoints->get_array()[0].get_string());
  return name;
}

std::string endpoint_text(const placement::StoreMap& map, const Secrets& secrets) {
  base::JsonObject json;
  json["store"] = map.store_id.to_string();
  base::JsonArray endpoints;
  for (const auto& rank : map.ranks)
    if (!rank.url.empty()) endpoints.emplace_back(rank.url);
  json["endpoints"] = std::move(endpoints);
  json["token"] = secrets.token;
  json["access_key"] = secrets.access_key;
  json["secret_key"] = secrets.secret_key;
  json["map_epoch"] = map.epoch;
  return base::pretty_json(base::Json(std::move(json)));
}

}  // namespace

Result<EndpointFile> EndpointFile::claim(const std::string& path) {
  std::string parent = std::filesystem::path(path).parent_path().string();
  if (parent.empty()) parent = ".";
  if (::access(parent.c_str(), W_OK | X_OK) != 0) {
    auto error = base::errno_error(errno, "write into directory", parent);
    return fail(error.code, path + ": the endpoint file cannot be written: " + error.message);
  }
  EndpointFile file(path);
  TARN_CHECK(file.lock_present());
  return file;
}

Result<bool> EndpointFile::lock_present() {
  if (locked_ && same_file(*locked_, path_)) return true;
  // For writing: NFS gives an exclusive lock on nothing less.
  auto& fs = base::posix_file_system();
  auto present = fs.open(path_, base::OpenMode::read_write);
  if (!present && present.error().code == ErrorCode::denied) present = fs.open(path_, base::OpenMode::read);
  if (!present && present.error().code == ErrorCode::not_found) return false;
  if (!present) return fail(std::move(present).error());
  if (::flock((*present)->descriptor(), LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK)
    return fail(ErrorCode::busy, path_ + ": is the endpoint file of a running store" + store_named_in(path_) +
                                     "; end that one, or give this one another file (--endpoint-file)");
  locked_ = std::move(*present);
  return true;
}

Result<void> EndpointFile::put_in_place(const std::string& temporary) {
  auto& fs = base::posix_file_system();
  while (true) {
    TARN_TRY(const bool present, lock_present());  // what came since the claim, too
    if (present) return fs.rename(temporary, path_);
    // No file: of several stores that come here at once, one can make it.
    if (::link(temporary.c_str(), path_.c_str()) == 0) return fs.remove(temporary);
    if (errno != EEXIST) return fs.rename(temporary, path_);  // a file system without links
  }
}

Result<void> EndpointFile::write(const placement::StoreMap& map, const Secrets& secrets) {
  auto& fs = base::posix_file_system();
  const std::string temporary = path_ + ".tmp" + std::to_string(::getpid());
  static_cast<void>(fs.remove(temporary));  // with permissions of its own, whoever left it
  const auto make = [&]() -> Result<std::unique_ptr<base::File>> {
    TARN_TRY(auto file, fs.open(temporary, base::OpenMode::create_new, 0600));
    static_cast<void>(::flock(file->descriptor(), LOCK_EX | LOCK_NB));  // nobody else has seen it
    const std::string text = endpoint_text(map, secrets);
    TARN_CHECK(file->write_at(0, std::as_bytes(std::span(text.data(), text.size()))));
    TARN_CHECK(file->sync_data());
    TARN_CHECK(put_in_place(temporary));
    return file;
  };
  auto made = make();
  if (!made) {
    static_cast<void>(fs.remove(temporary));
    return fail(std::move(made).error());
  }
  locked_ = std::move(*made);
  written_ = true;
  return {};
}

void EndpointFile::remove() noexcept {
  try {
    if (!written_ || !same_file(*locked_, path_)) return;
    if (auto removed = base::posix_file_system().remove(path_); !removed) base::log_warn(removed.error().message);
  } catch (const std::exception& error) {
    base::log_warn("cannot remove " + path_ + ": " + error.what());
  }
}

}  // namespace tarn::mpi
