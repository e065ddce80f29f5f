"""`sunshave simulate`: buildings with cars, sun and faults, and the production core in a closed loop with them."""
