#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>

namespace quern_test {

/// An answer as it came.
struct RawAnswer {
  int status = 0;
  std::map<std::string, std::string>
      headers{};       ///< Names in lower case; of several of one name, joined by ", ".
  std::string body{};  ///< Without its chunks' framing.

  /// A header's value; empty when there is none.
  [[nodiscard]] std::string header(const std::string& name) const;
};

/// A client that sends the bytes that it is given, however malformed. Everything waits for 30 seconds at most, and then throws.
class RawHttp {
 public:
  /// Connects. `receive_bytes`: how much the system takes for a client that does not read; 0: as ever.
  explicit RawHttp(std::uint16_t port, int receive_bytes = 0);
  RawHttp(const RawHttp&) = delete;
  RawHttp& operator=(const RawHttp&) = delete;
  virtual ~RawHttp();

  /// False: the server has closed.
  bool send(std::string_view bytes);
  /// Sends nothing more, and goes on reading.
  void end_sending();
  /// The next answer; `head`: to HEAD, which has no body whatever its length says. Throws where it ends early.
  RawAnswer answer(bool head = false);
  /// Sends, and reads the answer.
  RawAnswer ask(std::string_view bytes);
  /// Reads up to and with `end`.
  std::string read_until(std::string_view end);
  /// Reads until the server has closed, or has reset the connection.
  std::string read_to_end();
  /// Closes at once, so that the server sees a reset where it has sent something that was not read.
  void close();
  /// Whether something can be read, or comes within a moment.
  [[nodiscard]] bool readable() const;

 protected:
  /// 0: the end.
  virtual std::size_t receive(char* bytes, std::size_t most);
  virtual std::size_t transmit(const char* bytes, std::size_t count);
  void wait_for_bytes() const;
  [[nodiscard]] int descriptor() const { return socket_; }

 private:
  bool more();
  void wait_for(short what) const;

  int socket_ = -1;
  std::string in_;
};

/// "GET target HTTP/1.1" with a Host, and what is added.
std::string get_request(std::string_view target, std::string_view more_fields = {});
std::string post_request(std::string_view target, std::string_view body, std::string_view more_fields = {});

}  // namespace quern_test
