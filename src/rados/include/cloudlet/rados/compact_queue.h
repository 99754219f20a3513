#pragma once
// A queue for thousands of small things that are mostly empty: it takes no memory until something
// is put in, at most a quarter more than what is in it, and lies in one piece that is used in a
// circle. What std::deque costs when it is empty (600 bytes) would be a third of a placement group.
//
// One thread. Iterators and references last until something is put in.

#include <algorithm>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <memory>
#include <utility>

namespace cloudlet::rados {

template <typename T>
class CompactQueue {
    template <typename Queue, typename Value>
    class Iterator {
    public:
        using iterator_category = std::random_access_iterator_tag;
        using value_type = T;
        using difference_type = std::ptrdiff_t;
        using pointer = Value*;
        using reference = Value&;

        Iterator() = default;
        Iterator(Queue& queue, difference_type at) : queue_(&queue), at_(at) {}
        reference operator*() const { return (*queue_)[static_cast<size_t>(at_)]; }
        pointer operator->() const { return &**this; }
        reference operator[](difference_type n) const { return *(*this + n); }
        Iterator& operator++() { return *this += 1; }
        Iterator& operator--() { return *this += -1; }
        Iterator operator++(int) { return std::exchange(*this, *this + 1); }
        Iterator operator--(int) { return std::exchange(*this, *this - 1); }
        Iterator& operator+=(difference_type n) { return at_ += n, *this; }
        Iterator& operator-=(difference_type n) { return *this += -n; }
        Iterator operator+(difference_type n) const { return Iterator(*this) += n; }
        Iterator operator-(difference_type n) const { return Iterator(*this) -= n; }
        friend Iterator operator+(difference_type n, Iterator it) { return it + n; }
        difference_type operator-(const Iterator& other) const { return at_ - other.at_; }
        bool operator==(const Iterator& other) const { return at_ == other.at_; }
        auto operator<=>(const Iterator& other) const { return at_ <=> other.at_; }

    private:
        Queue* queue_ = nullptr;
        difference_type at_ = 0;
    };

public:
    using value_type = T;
    using iterator = Iterator<CompactQueue, T>;
    using const_iterator = Iterator<const CompactQueue, const T>;
    using const_reverse_iterator = std::reverse_iterator<const_iterator>;

    CompactQueue() = default;
    CompactQueue(const CompactQueue& other) { *this = other; }
    CompactQueue(CompactQueue&& other) noexcept { *this = std::move(other); }
    CompactQueue& operator=(const CompactQueue& other) {
        if (this == &other) return *this;
        clear();
        reserve(other.size());
        for (const T& item : other) push_back(item);
        return *this;
    }
    CompactQueue& operator=(CompactQueue&& other) noexcept {
        places_ = std::move(other.places_);
        capacity_ = std::exchange(other.capacity_, 0);
        first_ = std::exchange(other.first_, 0);
        size_ = std::exchange(other.size_, 0);
        return *this;
    }
    ~CompactQueue() = default;

    bool empty() const { return size_ == 0; }
    size_t size() const { return size_; }
    T& operator[](size_t n) { return places_[place(n)]; }
    const T& operator[](size_t n) const { return places_[place(n)]; }
    T& front() { return (*this)[0]; }
    const T& front() const { return (*this)[0]; }
    T& back() { return (*this)[size_ - 1]; }
    const T& back() const { return (*this)[size_ - 1]; }

    iterator begin() { return {*this, 0}; }
    iterator end() { return {*this, static_cast<std::ptrdiff_t>(size_)}; }
    const_iterator begin() const { return {*this, 0}; }
    const_iterator end() const { return {*this, static_cast<std::ptrdiff_t>(size_)}; }
    const_reverse_iterator rbegin() const { return const_reverse_iterator(end()); }
    const_reverse_iterator rend() const { return const_reverse_iterator(begin()); }

    void push_back(T item) {
        if (size_ == capacity_) reserve(size_ + std::max<size_t>(1, size_ / 4));
        ++size_;
        back() = std::move(item);
    }
    void pop_front() {
        front() = T();
        first_ = static_cast<uint32_t>(place(1));
        if (--size_ == 0) clear();
    }
    void pop_back() {
        back() = T();
        if (--size_ == 0) clear();
    }
    void clear() {
        places_.reset();
        capacity_ = first_ = size_ = 0;
    }
    void reserve(size_t count) {
        if (count <= capacity_) return;
        auto places = std::make_unique<T[]>(count);
        for (size_t i = 0; i < size_; ++i) places[i] = std::move((*this)[i]);
        places_ = std::move(places);
        capacity_ = static_cast<uint32_t>(count);
        first_ = 0;
    }
    bool operator==(const CompactQueue& other) const {
        return std::equal(begin(), end(), other.begin(), other.end());
    }

private:
    size_t place(size_t n) const {
        const size_t at = first_ + n;
        return at < capacity_ ? at : at - capacity_;
    }

    std::unique_ptr<T[]> places_;
    uint32_t capacity_ = 0, first_ = 0, size_ = 0;
};

} // namespace cloudlet::rados
