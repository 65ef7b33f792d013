// index_aside.hpp - the index that was there is kept until the one that is made anew is whole.
// Level 2 (volume). One thread, with the disk's lock held.
//
//   data.mdb                  --put_aside-->  data.mdb.old          the new one is written to data.mdb
//   data.mdb.old, data.mdb    --let_go----->  data.mdb              the new one is whole
//   data.mdb.old, data.mdb    --put_back--->  data.mdb              it is not: the disk is as it was found
// A process that ended between them has left both; then the old one comes back at the next open, and is judged once more.
#pragma once

#include <cstdint>
#include <string>

#include <tarn/result.hpp>

#include "base/file.hpp"

namespace tarn::volume {

class IndexAside {
 public:
  /// @param directory  of the index. `fs` must outlive this.
  IndexAside(base::FileSystem& fs, const std::string& directory) : fs_(fs), directory_(directory) {}
  IndexAside(const IndexAside&) = delete;
  IndexAside& operator=(const IndexAside&) = delete;
  ~IndexAside();  ///< puts it back where neither that nor let_go() was done; errors are logged. Its new one must not be open any more.

  /// Before anything else: what an open that was interrupted has left.
  [[nodiscard]] Result<void> put_back();
  /// Makes room for a new one; that which is there is kept, unless one is kept already. No index may be open.
  [[nodiscard]] Result<void> put_aside();
  [[nodiscard]] Result<void> let_go();
  /// Of the one that is kept; 0: none is.
  [[nodiscard]] std::uint64_t kept_bytes() const;

 private:
  [[nodiscard]] Result<void> remove(const char* name);

  base::FileSystem& fs_;
  const std::string directory_;
  bool kept_ = false;
};

}  // namespace tarn::volume
