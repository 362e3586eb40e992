// Fetching from a real server on loopback that breaks off, redirects, asks to wait and lies.
#include "net/http_client.h"

#include <gtest/gtest.h>

#include "http_server.h"
#include "support/error.h"

namespace dlm {
namespace {

// A body in memory.
class Memory : public HttpTarget {
 public:
  uint64_t size() const override { return bytes.size(); }
  void write(std::span<const std::byte> piece) override {
    bytes.append(reinterpret_cast<const char*>(piece.data()), piece.size());
  }
  void restart() override {
    bytes.clear();
    ++restarts;
  }
  std::string bytes;
  int restarts = 0;
};

class HttpClientTest : public ::testing::Test {
 protected:
  HttpOptions options() {
    HttpOptions options;
    options.user_agent = "test";
    options.wait = [this](int64_t ms) { waits_.push_back(ms); };
    options.limits.stall_timeout_s = 2;
    return options;
  }
  // Of what `work` throws.
  template <typename Work>
  Error error_of(Work work) {
    try {
      work();
    } catch (const Error& e) {
      return e;
    }
    return Error(ErrorKind::kInternal, "no error");
  }

  const std::string body_ = [] {
    std::string text;
    for (int i = 0; i < 20'000; ++i) text += std::to_string(i * 7919) + " ";
    return text;
  }();
  std::vector<int64_t> waits_;
  std::string hub_host_;
};

TEST_F(HttpClientTest, GivesBackStatusHeadersAndBody) {
  HttpServer server([](const HttpServerRequest& request) {
    HttpServerReply reply;
    reply.status = 404;
    reply.headers = {{"X-Error-Code", "EntryNotFound"}};
    reply.text = "no " + request.target;
    return reply;
  });
  HttpClient client(options());
  const HttpResponse response = client.get(server.url() + "/a?b=1");
  EXPECT_EQ(response.status, 404);
  EXPECT_EQ(response.header("x-error-code"), "EntryNotFound");
  EXPECT_EQ(response.body, "no /a?b=1");
  EXPECT_EQ(server.requests().at(0).header("accept-encoding"), "identity");
  EXPECT_EQ(server.requests().at(0).header("user-agent"), "test");
  EXPECT_EQ(server.num_requests(), 1u);
  EXPECT_EQ(client.head(server.url() + "/").status, 404);
  EXPECT_EQ(server.requests().at(1).method, "HEAD");
}

TEST_F(HttpClientTest, GoesOnFromAnyByteWhereTheConnectionBreaks) {
  for (const size_t cut : {size_t{0}, size_t{1}, size_t{777}, body_.size() - 1}) {
    std::atomic<int> num_cuts = 0;
    HttpServer server([&](const HttpServerRequest& request) {
      HttpServerReply reply = part_of(body_, request, "tag");
      if (num_cuts++ < 4) reply.cut_after = static_cast<int64_t>(cut);
      return reply;
    });
    HttpClient client(options());
    Memory target;
    client.fetch(server.url() + "/f", target, body_.size());
    EXPECT_EQ(target.bytes, body_);
    EXPECT_EQ(target.restarts, 0) << cut;
    const HttpServerRequest last = server.requests().back();
    if (cut == 0) continue;
    EXPECT_EQ(server.requests().at(1).header("range"), "bytes=" + std::to_string(cut) + "-");
    EXPECT_EQ(last.header("if-range"), "\"tag\"");
  }
}

TEST_F(HttpClientTest, GoesOnWithWhatTheTargetHas) {
  HttpServer server([&](const HttpServerRequest& request) { return part_of(body_, request); });
  HttpClient client(options());
  Memory target;
  target.bytes = body_.substr(0, 1000);
  client.fetch(server.url() + "/f", target, body_.size());
  EXPECT_EQ(target.bytes, body_);
  EXPECT_EQ(server.requests().at(0).header("range"), "bytes=1000-");
  // Nothing is asked when all is there.
  client.fetch(server.url() + "/f", target, body_.size());
  EXPECT_EQ(server.num_requests(), 1u);
}

TEST_F(HttpClientTest, BeginsAnewWhereTheFileHasChangedOrPartsAreNotGiven) {
  std::atomic<int> count = 0;
  HttpServer server([&](const HttpServerRequest& request) {
    HttpServerReply reply = part_of(body_, request, count == 0 ? "old" : "new");
    if (count++ == 0) reply.cut_after = 500;
    return reply;
  });
  HttpClient client(options());
  Memory target;
  client.fetch(server.url() + "/f", target, body_.size());
  EXPECT_EQ(target.bytes, body_);
  EXPECT_EQ(target.restarts, 1);
}

TEST_F(HttpClientTest, ABodyWithoutALengthThatEndsEarlyIsGoneOnWith) {
  std::atomic<int> count = 0;
  HttpServer server([&](const HttpServerRequest& request) {
    HttpServerReply reply = part_of(body_, request);
    if (count++ == 0) {
      reply.hides_length = true;
      reply.body = reply.body.substr(0, 300);
    }
    return reply;
  });
  HttpClient client(options());
  Memory target;
  client.fetch(server.url() + "/f", target, body_.size());
  EXPECT_EQ(target.bytes, body_);
  EXPECT_EQ(server.requests().at(1).header("range"), "bytes=300-");
}

TEST_F(HttpClientTest, GivesUpWhenNothingNewArrives) {
  HttpServer server([&](const HttpServerRequest& request) {
    HttpServerReply reply = part_of(body_, request);
    reply.cut_after = 0;
    return reply;
  });
  HttpClient client(options());
  Memory target;
  target.bytes = body_.substr(0, 10);
  const Error e = error_of([&] { client.fetch(server.url() + "/f", target, body_.size()); });
  EXPECT_EQ(e.kind(), ErrorKind::kNetwork);
  EXPECT_TRUE(e.message().starts_with("the connection to 127.0.0.1 broke")) << e.message();
  EXPECT_EQ(server.num_requests(), 5u);
  EXPECT_EQ(waits_, (std::vector<int64_t>{500, 1000, 2000, 4000}));
  EXPECT_EQ(target.bytes, body_.substr(0, 10));
}

TEST_F(HttpClientTest, RefusesOtherSizesThanAnnounced) {
  HttpServer server([&](const HttpServerRequest& request) { return part_of(body_, request); });
  HttpClient client(options());
  for (const uint64_t size : {body_.size() - 1, body_.size() + 1}) {
    for (const size_t has : {size_t{0}, size_t{50}}) {
      Memory target;
      target.bytes = body_.substr(0, has);
      const Error e = error_of([&] { client.fetch(server.url() + "/f", target, size); });
      EXPECT_EQ(e.message(), server.url() + "/f has " + std::to_string(body_.size()) +
                                 " bytes, not the " + std::to_string(size) +
                                 " that were announced");
    }
  }
  EXPECT_EQ(server.num_requests(), 4u);
}

TEST_F(HttpClientTest, TakesNoMoreBytesThanAnnounced) {
  HttpServer server([&](const HttpServerRequest&) {
    HttpServerReply reply;
    reply.body = body_;
    reply.hides_length = true;
    return reply;
  });
  HttpClient client(options());
  Memory target;
  const Error e = error_of([&] { client.fetch(server.url() + "/f", target, 100); });
  EXPECT_EQ(e.message(), server.url() + "/f has more bytes, not the 100 that were announced");
  EXPECT_LE(target.bytes.size(), 100u);
}

TEST_F(HttpClientTest, RefusesAnotherPartThanAskedFor) {
  HttpServer server([&](const HttpServerRequest& request) {
    HttpServerReply reply = part_of(body_, request);
    reply.headers.back().second = "bytes 0-9/" + std::to_string(body_.size());
    return reply;
  });
  HttpClient client(options());
  Memory target;
  target.bytes = "1234";
  const Error e = error_of([&] { client.fetch(server.url() + "/f", target, body_.size()); });
  EXPECT_NE(e.message().find("sends another part than was asked for"), std::string::npos);
}

TEST_F(HttpClientTest, AWebPageInPlaceOfAFileIsNamed) {
  HttpServer server([](const HttpServerRequest&) {
    HttpServerReply reply;
    reply.headers = {{"Content-Type", "text/html; charset=utf-8"}};
    reply.text = "<html>Please log in</html>";
    return reply;
  });
  HttpClient client(options());
  Memory target;
  const Error e = error_of([&] { client.fetch(server.url() + "/f", target, 1000); });
  EXPECT_EQ(e.hint(), "it answers with a web page: is there a login or a proxy in between?");
  EXPECT_EQ(target.bytes, "");
}

TEST_F(HttpClientTest, WaitsAsTheServerAsksAndTriesAgain) {
  std::atomic<int> count = 0;
  HttpServer server([&](const HttpServerRequest&) {
    HttpServerReply reply;
    switch (count++) {
      case 0:
        reply.status = 429;
        reply.headers = {{"Retry-After", "7"}};
        break;
      case 1:
        reply.status = 503;
        reply.headers = {{"Retry-After", "Thu, 01 Jan 1970 00:00:00 GMT"}};
        break;
      case 2:
        reply.status = 500;
        break;
      default:
        reply.text = "ready";
    }
    return reply;
  });
  HttpClient client(options());
  EXPECT_EQ(client.get(server.url() + "/").body, "ready");
  EXPECT_EQ(waits_, (std::vector<int64_t>{7000, 0, 2000}));
}

TEST_F(HttpClientTest, GivesBackAnErrorThatStays) {
  HttpServer server([](const HttpServerRequest&) {
    HttpServerReply reply;
    reply.status = 503;
    return reply;
  });
  HttpClient client(options());
  EXPECT_EQ(client.get(server.url() + "/").status, 503);
  Memory target;
  EXPECT_EQ(client.fetch(server.url() + "/", target, 10).status, 503);
  EXPECT_EQ(server.num_requests(), 10u);
}

TEST_F(HttpClientTest, DoesNotWaitForHours) {
  HttpServer server([](const HttpServerRequest&) {
    HttpServerReply reply;
    reply.status = 429;
    reply.headers = {{"Retry-After", "3600"}};
    return reply;
  });
  HttpClient client(options());
  const Error e = error_of([&] { client.get(server.url() + "/x"); });
  EXPECT_EQ(e.message(), server.url() + "/x answers 429 and asks to wait 3600 seconds");
  EXPECT_TRUE(waits_.empty());
}

TEST_F(HttpClientTest, FollowsRedirectsAndKeepsTheHeadersOfTheFirst) {
  HttpServer server([&](const HttpServerRequest& request) {
    if (request.target == "/end") return part_of(body_, request);
    HttpServerReply reply;
    reply.status = 302;
    reply.headers = {{"Location", request.target == "/1" ? "/end" : "1"},
                     {"X-From", request.target}};
    return reply;
  });
  HttpClient client(options());
  Memory target;
  const HttpResponse response = client.fetch(server.url() + "/0", target, body_.size());
  EXPECT_EQ(target.bytes, body_);
  EXPECT_EQ(response.first_header("x-from"), "/0");
  EXPECT_EQ(response.url.text, server.url() + "/end");
}

TEST_F(HttpClientTest, FollowsFiveRedirectsAndNoMore) {
  HttpServer server([](const HttpServerRequest& request) {
    HttpServerReply reply;
    reply.status = 301;
    reply.headers = {{"Location", request.target + "x"}};
    return reply;
  });
  HttpClient client(options());
  const Error e = error_of([&] { client.get(server.url() + "/"); });
  EXPECT_EQ(e.message(), "more than 5 redirects, the last to " + server.url() + "/xxxxx");
  EXPECT_EQ(server.num_requests(), 6u);
}

TEST_F(HttpClientTest, RefusesRedirectsToOtherSchemesAndWithNames) {
  for (const char* location : {"file:///etc/passwd", "ftp://127.0.0.1/x", "gopher://x/",
                               "http://user:secret@127.0.0.1/", ""}) {
    HttpServer server([&](const HttpServerRequest&) {
      HttpServerReply reply;
      reply.status = 302;
      if (*location != '\0') reply.headers = {{"Location", location}};
      return reply;
    });
    HttpClient client(options());
    const Error e = error_of([&] { client.get(server.url() + "/"); });
    EXPECT_EQ(e.kind(), ErrorKind::kNetwork) << location;
    EXPECT_EQ(server.num_requests(), 1u) << location;
  }
}

TEST_F(HttpClientTest, TheTokenGoesToItsOwnOriginOnly) {
  HttpServer other([&](const HttpServerRequest& request) { return part_of(body_, request); });
  HttpServer hub([&](const HttpServerRequest& request) {
    HttpServerReply reply;
    reply.status = 302;
    // Also another name of the same machine is another host.
    reply.headers = {{"Location", request.target == "/a" ? hub_host_ : other.url() + "/c"}};
    return reply;
  });
  hub_host_ = hub.url("localhost") + "/b";
  HttpOptions with_token = options();
  with_token.bearer_token = "hf_secret";
  with_token.bearer_origin = hub.url();
  HttpClient client(with_token);
  Memory target;
  client.fetch(hub.url() + "/a", target, body_.size());
  EXPECT_EQ(target.bytes, body_);
  ASSERT_EQ(hub.num_requests(), 2u);
  EXPECT_EQ(hub.requests().at(0).header("authorization"), "Bearer hf_secret");
  EXPECT_EQ(hub.requests().at(1).header("authorization"), "");
  EXPECT_EQ(other.requests().at(0).header("authorization"), "");
}

TEST_F(HttpClientTest, LimitsHeadersAndBodies) {
  HttpServer server([](const HttpServerRequest& request) {
    HttpServerReply reply;
    if (request.target == "/headers") {
      for (int i = 0; i < 100; ++i) {
        reply.headers.emplace_back("X-" + std::to_string(i), std::string(1000, 'x'));
      }
    } else {
      reply.text = std::string(2000, 'x');
    }
    return reply;
  });
  HttpOptions small = options();
  small.limits.max_text_bytes = 1000;
  HttpClient client(small);
  EXPECT_NE(
      error_of([&] { client.get(server.url() + "/headers"); }).message().find("headers of more"),
      std::string::npos);
  EXPECT_NE(
      error_of([&] { client.get(server.url() + "/"); }).message().find("more than 1000 bytes"),
      std::string::npos);
}

TEST_F(HttpClientTest, SaysThatNothingListens) {
  std::string url;
  {
    HttpServer gone([](const HttpServerRequest&) { return HttpServerReply(); });
    url = gone.url();
  }
  HttpClient client(options());
  const Error e = error_of([&] { client.get(url + "/"); });
  EXPECT_EQ(e.kind(), ErrorKind::kNetwork);
  EXPECT_TRUE(e.message().starts_with("cannot connect to 127.0.0.1 at port ")) << e.message();
  EXPECT_EQ(waits_.size(), 1u);
}

TEST_F(HttpClientTest, StopsWhenAsked) {
  std::atomic<bool> stops = false;
  HttpServer server([&](const HttpServerRequest& request) {
    stops = true;
    HttpServerReply reply = part_of(body_, request);
    reply.headers.emplace_back("Content-Length", "100000000");
    return reply;
  });
  HttpOptions stopped = options();
  stopped.should_stop = [&] { return stops.load(); };
  HttpClient client(stopped);
  Memory target;
  EXPECT_EQ(error_of([&] { client.fetch(server.url() + "/", target, 100'000'000); }).kind(),
            ErrorKind::kInterrupted);
}

TEST_F(HttpClientTest, HandsOnWhatTheTargetThrows) {
  class Full : public Memory {
    void write(std::span<const std::byte>) override { throw Error(ErrorKind::kIo, "full"); }
  } target;
  HttpServer server([&](const HttpServerRequest& request) { return part_of(body_, request); });
  HttpClient client(options());
  const Error e = error_of([&] { client.fetch(server.url() + "/", target, body_.size()); });
  EXPECT_EQ(e.kind(), ErrorKind::kIo);
  EXPECT_EQ(e.message(), "full");
  EXPECT_EQ(server.num_requests(), 1u);
}

TEST(Url, KnowsItsOriginAndHidesItsQuery) {
  const Url url = parse_url("https://Hub.example/a/b?Signature=secret#part");
  EXPECT_EQ(url.host, "hub.example");
  EXPECT_EQ(url.port, "443");
  EXPECT_EQ(url.shown(), "https://Hub.example/a/b");
  EXPECT_TRUE(url.has_origin_of(parse_url("https://hub.example:443/")));
  EXPECT_FALSE(url.has_origin_of(parse_url("http://hub.example/")));
  EXPECT_FALSE(url.has_origin_of(parse_url("https://hub.example:444/")));
  EXPECT_FALSE(url.has_origin_of(parse_url("https://hub.example.org/")));
  EXPECT_EQ(resolve_url(url, "//cdn.example/x").text, "https://cdn.example/x");
  EXPECT_THROW(parse_url("https://user@hub.example/"), Error);
  EXPECT_THROW(parse_url("not an address"), Error);
  EXPECT_THROW(parse_url("file:///etc/passwd"), Error);
}

TEST(Url, EscapesPaths) {
  EXPECT_EQ(escape_path("a b/c%?#é.txt"), "a%20b/c%25%3F%23%C3%A9.txt");
}

}  // namespace
}  // namespace dlm
