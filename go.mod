module vsync

go 1.26
