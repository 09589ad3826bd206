// A tiny HTTP server for tests of the command line: one connection at a time, one answer for each request,
// on a free loopback port. Its thread ends with the object.
#pragma once

#include <atomic>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace poundlock::cli {

struct TestRequest {
  std::string method, path, head, body;
};

class TestServer {
 public:
  // Answers the whole response; json() and error() make one. "" closes the connection without an answer.
  using Handler = std::function<std::string(const TestRequest&)>;
  explicit TestServer(Handler handler);
  ~TestServer();

  std::string url() const;
  std::vector<TestRequest> requests() const;

  static std::string json(const std::string& body, int status = 200);
  static std::string error(int status, const std::string& code, const std::string& disposition,
                           const std::string& hint = "");

 private:
  void serve();
  void converse(int peer);

  Handler handler_;
  int listener_ = -1;
  int port_ = 0;
  std::atomic<bool> stop_{false};
  mutable std::mutex mutex_;
  std::vector<TestRequest> requests_;
  std::thread thread_;
};

}  // namespace poundlock::cli
