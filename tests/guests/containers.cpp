/* The C++ library's containers and smart pointers, as pretty printers show them. */

#include <array>
#include <deque>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <tuple>
#include <unordered_map>
#include <unordered_set>
#include <variant>
#include <vector>

struct Point {
    int x, y;
};

struct Node {
    int value;
    std::unique_ptr<Node> next;
    std::shared_ptr<Node> ring;
};

int main() {
    std::string empty, brief = "short \"one\"", lengthy(300, 'x'), ten = "0123456789";
    std::wstring wide = L"wïde";
    std::u16string sixteen = u"sixteen";
    std::string_view view = std::string_view(ten).substr(2, 3);
    std::vector<int> numbers{1, 2, 3}, none;
    std::vector<bool> bits{true, false, true};
    std::vector<std::vector<std::string>> nested{{"a", "b"}, {}, {"c"}};
    std::vector<int> many(1000);
    for (int i = 0; i < 1000; i++) many[i] = i;
    std::array<short, 3> fixed{4, 5, 6};
    std::map<std::string, int> ages{{"ann", 31}, {"bob", 42}, {"cleo", 7}};
    std::map<int, int> squares, nothing;
    for (int i = 0; i < 100; i++) squares[i * 37 % 100] = i;
    std::set<char> letters{'q', 'a', 'm'};
    std::unordered_map<int, Point> places{{5, {1, 2}}};
    std::unordered_set<std::string> words{"only"};
    std::list<Point> points{{1, 2}, {3, 4}};
    std::deque<int> queue{2, 3};
    queue.push_front(1);
    std::tuple<int, std::string, char> triple{7, "seven", '7'};
    std::pair<const char *, Point> pair{"pair", {8, 9}};
    std::optional<std::string> maybe = "some", never;
    std::variant<int, std::string> either = std::string("second"), first = 1;
    std::unique_ptr<Point> owned(new Point{5, 6}), released;
    std::unique_ptr<Node> chain(new Node{1, std::unique_ptr<Node>(new Node{2, nullptr, nullptr}), nullptr});
    auto shared = std::make_shared<Node>();
    shared->value = 3;
    shared->ring = shared;
    std::vector<std::unique_ptr<Point>> owners;
    owners.emplace_back(new Point{7, 8});
    std::vector<int> &reference = numbers;
    int result = reference.size() + points.size(); /* @ready */
    shared->ring.reset();
    return result == 5 ? 0 : 1;
}
