// The token ids of a row, in as few whole bytes each as the largest needs, but at least two.
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <initializer_list>
#include <iterator>
#include <memory>
#include <span>
#include <vector>

namespace dlm {

// Fixed once made; documents have many rows, so it is small.
class TokenIds {
 public:
  TokenIds() = default;
  explicit TokenIds(std::span<const int32_t> ids);
  TokenIds(const std::vector<int32_t>& ids) : TokenIds(std::span(ids)) {}
  TokenIds(std::initializer_list<int32_t> ids) : TokenIds(std::span(ids.begin(), ids.size())) {}
  TokenIds(const TokenIds& other);
  TokenIds(TokenIds&& other) noexcept { *this = std::move(other); }
  TokenIds& operator=(const TokenIds& other);
  TokenIds& operator=(TokenIds&& other) noexcept;

  size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  int32_t operator[](size_t i) const {
    uint32_t id = 0;
    std::memcpy(&id, bytes_.get() + i * width_, width_);
    return static_cast<int32_t>(id);
  }
  int32_t front() const { return (*this)[0]; }
  int32_t back() const { return (*this)[size_ - 1]; }
  std::vector<int32_t> ids() const { return {begin(), end()}; }

  class Iterator {
   public:
    using iterator_category = std::random_access_iterator_tag;
    using value_type = int32_t;
    using difference_type = std::ptrdiff_t;
    using pointer = void;
    using reference = int32_t;

    Iterator() = default;
    Iterator(const TokenIds& ids, difference_type at) : ids_(&ids), at_(at) {}
    int32_t operator*() const { return (*ids_)[static_cast<size_t>(at_)]; }
    int32_t operator[](difference_type n) const { return *(*this + n); }
    Iterator& operator++() { return *this += 1; }
    Iterator& operator--() { return *this -= 1; }
    Iterator operator++(int) { return Iterator(*ids_, at_++); }
    Iterator operator--(int) { return Iterator(*ids_, at_--); }
    Iterator& operator+=(difference_type n) {
      at_ += n;
      return *this;
    }
    Iterator& operator-=(difference_type n) { return *this += -n; }
    friend Iterator operator+(Iterator a, difference_type n) { return a += n; }
    friend Iterator operator+(difference_type n, Iterator a) { return a += n; }
    friend Iterator operator-(Iterator a, difference_type n) { return a -= n; }
    friend difference_type operator-(Iterator a, Iterator b) { return a.at_ - b.at_; }
    friend bool operator==(Iterator a, Iterator b) { return a.at_ == b.at_; }
    friend auto operator<=>(Iterator a, Iterator b) { return a.at_ <=> b.at_; }

   private:
    const TokenIds* ids_ = nullptr;
    difference_type at_ = 0;
  };
  using const_iterator = Iterator;
  Iterator begin() const { return {*this, 0}; }
  Iterator end() const { return {*this, static_cast<std::ptrdiff_t>(size_)}; }

  friend bool operator==(const TokenIds& a, const TokenIds& b);

 private:
  static constexpr uint8_t kLeastWidth = 2;
  size_t num_bytes() const { return size_t{size_} * width_; }

  std::unique_ptr<std::byte[]> bytes_;
  uint32_t size_ = 0;
  uint8_t width_ = kLeastWidth;  // bytes of one id
};

}  // namespace dlm
