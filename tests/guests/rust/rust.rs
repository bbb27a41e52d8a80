// Rust's types, as the debugger shows them. Built once; see README.md beside this file.

use std::rc::Rc;

struct Point {
    x: i32,
    y: i32,
}

struct Metres(f64);
struct Unit;

enum Shape {
    Empty,
    Circle(f64),
    Rect { w: u32, h: u32 },
    At(Point),
}

#[derive(Clone, Copy)]
enum Suit {
    Clubs,
    Hearts,
}

struct Node {
    value: i64,
    next: Option<Box<Node>>,
}

static mut VISITS: u32 = 0;

impl Shape {
    fn area(&self, scale: f64) -> f64 {
        let result = match self {
            Shape::Empty | Shape::At(_) => 0.0,
            Shape::Circle(radius) => radius * radius * 3.0,
            Shape::Rect { w, h } => (w * h) as f64,
        };
        unsafe { VISITS += 1 };
        result * scale // @area
    }
}

fn look(text: &str, part: &[i32], words: &[String]) -> usize {
    text.len() + part.len() + words.len() // @look
}

fn main() {
    let owned = String::from("héllo");
    let empty = String::new();
    let numbers = vec![1, 2, 3];
    let words = vec![String::from("one"), String::from("two")];
    let some = Some(5i32);
    let none: Option<i32> = None;
    let boxed = Box::new(Point { x: 1, y: 2 });
    let nothing: Option<Box<Point>> = None;
    let list = Node { value: 1, next: Some(Box::new(Node { value: 2, next: None })) };
    let shapes = [Shape::Empty, Shape::Circle(1.5), Shape::Rect { w: 1, h: 2 }, Shape::At(Point { x: 5, y: 6 })];
    let tuple = (1u8, 'c', true);
    let good: Result<i32, String> = Ok(7);
    let bad: Result<i32, String> = Err(String::from("bad"));
    let length = Metres(2.5);
    let unit = Unit;
    let suit = Suit::Hearts;
    let other = Suit::Clubs;
    let maybe: Option<&str> = Some("text");
    let slice: Box<[u16]> = vec![7, 8].into_boxed_slice();
    let shared = Rc::new(Point { x: 3, y: 4 });
    let reference = &tuple;
    let wide: i128 = -5;
    let mut total = shapes.iter().map(|shape| shape.area(2.0)).sum::<f64>() as usize; // @ready
    total += look(&owned, &numbers[1..], &words) + empty.len() + slice.len() + maybe.unwrap().len();
    total += (some.unwrap() + none.unwrap_or(0) + boxed.x + boxed.y + shared.x + shared.y) as usize;
    total += (list.value + list.next.as_ref().map_or(0, |node| node.value + node.next.is_none() as i64)) as usize;
    total += nothing.is_none() as usize + good.unwrap() as usize + bad.unwrap_err().len() + length.0 as usize;
    total += std::mem::size_of_val(&unit) + suit as usize + other as usize + reference.0 as usize + wide as usize;
    std::process::exit((total == 0) as i32);
}
