"""An S3 server as far away as one likes: replies begin after a latency, connections carry a rate.

Job: give a benchmark on one machine what a network gives it: each reply begins a fixed time after its
request has come, and each connection carries at most so many bytes a second in both directions. It does
not look at signatures, and by default it keeps nothing of what is uploaded but sizes and ETags, so that it
costs as little as possible of the cores that it shares with what is measured.

    content     bytes that cost nothing: one shared buffer, every object a view of it
    catalogue   buckets, objects and uploads under way
    requests    the head of a request, parsed
    listings    ListObjects and ListObjectsV2 as XML
    service     which reply a request gets
    distance    how far away it is, and what it counts
    connections sockets, timers and the pace of each connection
    launch      the server as a process of its own, for benchmarks
    ceiling     what the server itself can do: a program
"""
