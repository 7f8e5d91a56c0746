#pragma once

#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <vector>

#include "storage/sqlite/connection.hpp"

namespace quern::inline v1::sqlite {

/// A few connections that only read, opened as needed and lent to one thread at a time. Thread-safe.
class ReaderPool {
 public:
  using Open = std::function<std::unique_ptr<Connection>()>;
  ReaderPool(int most, Open open) : open_(std::move(open)), free_slots_(most) {
    idle_.reserve(static_cast<std::size_t>(most));  // so that giving back cannot fail
  }

  /// Waits until a connection is free, and runs `body(connection)`. One that fails badly is not used again.
  template <class Body>
  auto read(const Body& body) {
    Loan loan(*this);
    return body(*loan.connection);
  }

 private:
  struct Loan {
    explicit Loan(ReaderPool& from) : pool(from), connection(from.take()) {}
    Loan(const Loan&) = delete;
    Loan& operator=(const Loan&) = delete;
    ~Loan() { pool.give_back(std::move(connection)); }
    ReaderPool& pool;
    std::unique_ptr<Connection> connection;
  };
  std::unique_ptr<Connection> take();
  void give_back(std::unique_ptr<Connection> connection) noexcept;

  Open open_;
  std::mutex mutex_;
  std::condition_variable freed_;
  int free_slots_;  // how many more may be lent
  std::vector<std::unique_ptr<Connection>> idle_;
};

}  // namespace quern::inline v1::sqlite
