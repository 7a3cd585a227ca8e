"""Pure tensor functions: guided filter, nearest colours, deformable attention, closed-form alpha, foreground colour."""
