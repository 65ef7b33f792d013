#include "mpi/endpoint_file.hpp"

#include <algorithm>
#include <exception>

#include "base/codec.hpp"
#include "base/error.hpp"
#include "base/file.hpp"
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

Result<void> write_endpoint_file(const std::string& path, const placement::StoreMap& map, const Secrets& secrets) {
  base::JsonObject json;
  json["store"] = map.store_id.to_string();
  base::JsonArray endpoints;
  for (const auto& rank : map.ranks) endpoints.emplace_back(rank.url);
  json["endpoints"] = std::move(endpoints);
  json["token"] = secrets.token;
  json["access_key"] = secrets.access_key;
  json["secret_key"] = secrets.secret_key;
  json["map_epoch"] = map.epoch;
  return base::write_text_file(base::posix_file_system(), path, base::pretty_json(base::Json(std::move(json))), 0600);
}

void remove_endpoint_file(const std::string& path, const Secrets& secrets) noexcept {
  try {
    auto& fs = base::posix_file_system();
    const auto text = base::read_text_file(fs, path);
    if (!text || text->find(secrets.secret_key) == std::string::npos) return;
    if (auto removed = fs.remove(path); !removed) base::log_warn(removed.error().message);
  } catch (const std::exception& error) {
    base::log_warn(std::string("cannot remove ") + path + ": " + error.what());
  }
}

}  // namespace tarn::mpi
